# libsoftless (static for tests, shared to install) and the program. The ISA flags belong to a file
# suffix and to nothing else.
file(GLOB_RECURSE SOFTLESS_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*.c)

foreach(source ${SOFTLESS_SOURCES})
    if(source MATCHES "/src/kernels/")
        set(flags -O3)
        if(source MATCHES "_avx2\\.c$")
            list(APPEND flags -mavx2 -mfma -mf16c)
        elseif(source MATCHES "_avx512\\.c$")
            list(APPEND flags -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl
                -mprefer-vector-width=512)
        elseif(source MATCHES "_avx512bf16\\.c$")
            list(APPEND flags -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl
                -mavx512bf16 -mprefer-vector-width=512)
        elseif(source MATCHES "_amx\\.c$")
            list(APPEND flags -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl
                -mavx512bf16 -mamx-tile -mamx-bf16 -mprefer-vector-width=512)
        endif()
        set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${flags}")
    endif()
endforeach()

add_library(softless_objects OBJECT ${SOFTLESS_SOURCES})
target_include_directories(softless_objects PUBLIC ${CMAKE_SOURCE_DIR}/include
    PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(softless_objects PRIVATE ${SOFTLESS_DEFINITIONS}
    SOFTLESS_DATADIR="${CMAKE_INSTALL_FULL_DATADIR}/softless")
target_link_libraries(softless_objects PUBLIC ${SOFTLESS_LIBS} PRIVATE softless_flags)

add_library(softless_static STATIC $<TARGET_OBJECTS:softless_objects>)
set_target_properties(softless_static PROPERTIES OUTPUT_NAME softless)
target_include_directories(softless_static PUBLIC ${CMAKE_SOURCE_DIR}/include)
target_link_libraries(softless_static PUBLIC ${SOFTLESS_LIBS} softless_flags)

file(GLOB CLI_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cli/*.c)
if(CLI_SOURCES)
    add_executable(softless ${CLI_SOURCES})
    target_link_libraries(softless PRIVATE softless_static)
endif()
