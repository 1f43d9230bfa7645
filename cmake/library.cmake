# libsoftless (static for tests, shared to install) and the program. The ISA flags belong to a file
# suffix and to nothing else.
file(GLOB_RECURSE SOFTLESS_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/*.c)

if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(FILTER SOFTLESS_SOURCES EXCLUDE REGEX "/src/kernels/x86/")
endif()

foreach(source ${SOFTLESS_SOURCES})
    if(source MATCHES "/src/kernels/")
        set(flags -O3)
        if(SOFTLESS_SANITIZE) # clang 14 needs minutes for each instrumented kernel file at -O3
            set(flags -O1)
        endif()
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
        if(source MATCHES "/resize_[a-z0-9]+\\.c$") # sums in float as TensorFlow's, on every set
            list(APPEND flags -ffp-contract=off)
        endif()
        set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${flags}")
    endif()
endforeach()

file(RELATIVE_PATH SOFTLESS_DATADIR_FROM_BIN
    ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_DATADIR}/softless)

add_library(softless_objects OBJECT ${SOFTLESS_SOURCES})
target_include_directories(softless_objects PUBLIC ${CMAKE_SOURCE_DIR}/include
    PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(softless_objects PRIVATE ${SOFTLESS_DEFINITIONS}
    SOFTLESS_DATADIR="${CMAKE_INSTALL_FULL_DATADIR}/softless"
    SOFTLESS_DATADIR_FROM_BIN="${SOFTLESS_DATADIR_FROM_BIN}")
target_link_libraries(softless_objects PUBLIC ${SOFTLESS_LIBS} PRIVATE softless_flags)

# The commit goes into the rows of study tables.
add_custom_target(softless_commit BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/study/commit.h
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR}
        -DOUT=${CMAKE_BINARY_DIR}/generated/study/commit.h -P ${CMAKE_SOURCE_DIR}/cmake/commit.cmake)
add_dependencies(softless_objects softless_commit)
target_include_directories(softless_objects PRIVATE ${CMAKE_BINARY_DIR}/generated)

add_library(softless_static STATIC $<TARGET_OBJECTS:softless_objects>)
set_target_properties(softless_static PROPERTIES OUTPUT_NAME softless EXPORT_NAME softless_static)
target_include_directories(softless_static PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(softless_static PUBLIC ${SOFTLESS_LIBS} PRIVATE $<BUILD_INTERFACE:softless_flags>)

# The shared library exports sl_* and nothing else. Sanitizer builds are for tests only.
if(NOT SOFTLESS_SANITIZE)
    add_library(softless_shared SHARED $<TARGET_OBJECTS:softless_objects>)
    set_target_properties(softless_shared PROPERTIES OUTPUT_NAME softless EXPORT_NAME softless
        VERSION ${PROJECT_VERSION} SOVERSION 0)
    target_include_directories(softless_shared PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(softless_shared PRIVATE ${SOFTLESS_LIBS})
    target_link_options(softless_shared PRIVATE
        -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/softless.map -Wl,--no-undefined -Wl,-z,relro,-z,now)
    set_target_properties(softless_shared PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/softless.map)
endif()

file(GLOB CLI_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/cli/*.c)
add_executable(softless ${CLI_SOURCES})
target_link_libraries(softless PRIVATE softless_static softless_flags)

# Manual pages and completion scripts are made of the program's own tables.
if(NOT SOFTLESS_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
    set(manual ${CMAKE_BINARY_DIR}/manual)
    add_custom_command(OUTPUT ${manual}/softless.fish
        COMMAND softless help --man ${manual}
        COMMAND softless help --completion bash > ${manual}/softless.bash
        COMMAND softless help --completion zsh > ${manual}/softless.zsh
        COMMAND softless help --completion fish > ${manual}/softless.fish
        DEPENDS softless COMMENT "Manual pages and completion scripts")
    add_custom_target(softless_manual ALL DEPENDS ${manual}/softless.fish)
    foreach(section 1 5)
        install(DIRECTORY ${manual}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section}
            FILES_MATCHING PATTERN "*.${section}")
    endforeach()
    set(share ${CMAKE_INSTALL_DATADIR})
    install(FILES ${manual}/softless.bash DESTINATION ${share}/bash-completion/completions
        RENAME softless)
    install(FILES ${manual}/softless.zsh DESTINATION ${share}/zsh/site-functions RENAME _softless)
    install(FILES ${manual}/softless.fish DESTINATION ${share}/fish/vendor_completions.d)
endif()

# ---- install ----
# Everything finds its neighbours by where it lies, so that an installed tree can be moved.
if(NOT SOFTLESS_SANITIZE)
    include(CMakePackageConfigHelpers)
    set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/softless)
    install(TARGETS softless RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    install(TARGETS softless_shared EXPORT softlessTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(TARGETS softless_static EXPORT softlessStaticTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(FILES include/softless.h include/softless_explain.h include/softless_phases.h
        include/softless_probe.h include/softless_study.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
    install(DIRECTORY recipes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/softless/recipes
        FILES_MATCHING PATTERN "*.yaml")
    # Two sets: who links the shared library needs no development package of its dependencies.
    install(EXPORT softlessTargets NAMESPACE softless:: DESTINATION ${config_dir})
    install(EXPORT softlessStaticTargets NAMESPACE softless:: DESTINATION ${config_dir})
    configure_file(cmake/softlessConfig.cmake.in softlessConfig.cmake @ONLY)
    write_basic_package_version_file(${CMAKE_BINARY_DIR}/softlessConfigVersion.cmake
        COMPATIBILITY SameMinorVersion)
    install(FILES ${CMAKE_BINARY_DIR}/softlessConfig.cmake
        ${CMAKE_BINARY_DIR}/softlessConfigVersion.cmake DESTINATION ${config_dir})
    set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
    file(RELATIVE_PATH SOFTLESS_PREFIX_FROM_PC /${pc_dir} /)
    string(REGEX REPLACE "/$" "" SOFTLESS_PREFIX_FROM_PC "${SOFTLESS_PREFIX_FROM_PC}")
    configure_file(cmake/softless.pc.in softless.pc @ONLY)
    install(FILES ${CMAKE_BINARY_DIR}/softless.pc DESTINATION ${pc_dir})
endif()
