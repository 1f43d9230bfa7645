# One executable per tests/<folder>/test_*.c, linked with the static library and cmocka.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
file(GLOB TEST_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*/test_*.c)
foreach(source ${TEST_SOURCES})
    get_filename_component(name ${source} NAME_WE)
    get_filename_component(folder ${source} DIRECTORY)
    get_filename_component(group ${folder} NAME)
    file(GLOB support CONFIGURE_DEPENDS ${folder}/support_*.c)
    add_executable(${name} ${source} ${support})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests)
    target_compile_definitions(${name} PRIVATE ${SOFTLESS_DEFINITIONS}
        TEST_SOURCE_DIR="${CMAKE_SOURCE_DIR}/tests")
    target_link_libraries(${name} PRIVATE softless_static softless_flags PkgConfig::CMOCKA)
    add_test(NAME ${group}/${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
endforeach()

# CLI tests: scripts that get the program's path.
file(GLOB SCRIPTS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*/test_*.sh)
foreach(script ${SCRIPTS})
    get_filename_component(name ${script} NAME_WE)
    get_filename_component(folder ${script} DIRECTORY)
    get_filename_component(group ${folder} NAME)
    add_test(NAME ${group}/${name} COMMAND bash ${script} $<TARGET_FILE:softless>
        WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
endforeach()

# Fuzz targets (clang): each is built, and run on nothing but its own seeds for a moment.
if(SOFTLESS_FUZZ)
    file(GLOB FUZZERS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.c)
    foreach(source ${FUZZERS})
        get_filename_component(name ${source} NAME_WE)
        add_executable(${name} ${source})
        target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
        target_link_libraries(${name} PRIVATE softless_static softless_flags)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
        add_test(NAME fuzz/${name} COMMAND ${name} -max_total_time=5 -max_len=65536 -timeout=5
            -rss_limit_mb=1024 -print_final_stats=1 WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
    endforeach()
endif()
