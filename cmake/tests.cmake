# One executable per tests/<folder>/test_*.c, linked with the static library and cmocka.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

# The x86 kernel files once more, on emulated instructions (tests/emulate), for tests of kernels and
# ops on machines that lack an instruction set. Their warnings are the library's business, and loops
# stay loops (TILE_LOOPS): unrolled and emulated, the attention tiles compile for a minute.
find_path(SIMDE_INCLUDE_DIR simde/x86/avx512.h REQUIRED) # Debian: libsimde-dev
file(GLOB EMULATED CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/x86/*.c)
list(FILTER EMULATED EXCLUDE REGEX "/peak_[a-z0-9]*\\.c$") # a speed, which emulation has not
add_library(emulated_kernels OBJECT)
foreach(source ${EMULATED})
    get_filename_component(name ${source} NAME)
    set(wrapper ${CMAKE_BINARY_DIR}/emulated/${name})
    file(CONFIGURE OUTPUT ${wrapper}
        CONTENT "#include \"emulate/rename.h\"\n#include \"kernels/x86/${name}\"\n")
    target_sources(emulated_kernels PRIVATE ${wrapper})
    if(SOFTLESS_SANITIZE) # the instruction turns NaN into an integer, the emulation's C may not
        set_source_files_properties(${wrapper} PROPERTIES
            COMPILE_OPTIONS -fno-sanitize=float-cast-overflow)
    endif()
endforeach()
target_include_directories(emulated_kernels BEFORE PRIVATE ${CMAKE_SOURCE_DIR}/tests/emulate/include
    ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests
    ${SIMDE_INCLUDE_DIR})
target_compile_options(emulated_kernels PRIVATE -O1 -w -Wno-psabi)
target_compile_definitions(emulated_kernels PRIVATE TILE_LOOPS=)
target_link_libraries(emulated_kernels PRIVATE softless_flags)
add_library(emulation OBJECT ${CMAKE_SOURCE_DIR}/tests/emulate/dispatch.c)
target_include_directories(emulation PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src
    ${CMAKE_SOURCE_DIR}/tests)
target_link_libraries(emulation PRIVATE softless_flags PkgConfig::CMOCKA)

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
    if(group MATCHES "^(kernels|ops)$")
        target_sources(${name} PRIVATE $<TARGET_OBJECTS:emulated_kernels> $<TARGET_OBJECTS:emulation>)
        target_link_options(${name} PRIVATE -Wl,--wrap=sl_isa_native
            -Wl,--wrap=sl_attn_kernel_for,--wrap=sl_gemm_kernels_for,--wrap=sl_vec_kernels_for,--wrap=sl_resize_kernels_for)
    endif()
    file(STRINGS ${source} emulates REGEX "emulate_summary|trial_setup") # once more, all emulated
    if(emulates)
        add_test(NAME ${group}/${name}_emulated COMMAND ${name} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
        set_tests_properties(${group}/${name}_emulated PROPERTIES ENVIRONMENT SOFTLESS_TEST_EMULATE=1)
    endif()
endforeach()

# The golden resizes in plain C as well; a process chooses its kernels once.
foreach(name test_resize test_inception_crop)
    add_test(NAME unit/${name}_plain COMMAND ${name} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
    set_tests_properties(unit/${name}_plain PROPERTIES ENVIRONMENT SOFTLESS_ISA=c)
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

# Fuzz targets (clang): each is built and run for a moment, from golden files and generated seeds.
# What a target finds on the way stays in fuzz/corpus of the build folder.
if(SOFTLESS_FUZZ)
    set(fuzz_dir ${CMAKE_BINARY_DIR}/fuzz)
    set(golden ${CMAKE_SOURCE_DIR}/tests/golden)
    set(seeds_fuzz_jpeg ${golden}/images)
    set(seeds_fuzz_png ${golden}/images)
    set(seeds_fuzz_npz ${golden}/npz ${golden}/import)
    set(seeds_fuzz_safetensors ${golden}/data)
    set(seeds_fuzz_weights ${golden}/import)
    set(seeds_fuzz_yaml ${CMAKE_SOURCE_DIR}/recipes)
    add_executable(make_seeds ${CMAKE_SOURCE_DIR}/tests/fuzz/make_seeds.c)
    target_include_directories(make_seeds PRIVATE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(make_seeds PRIVATE softless_static softless_flags)
    add_test(NAME fuzz/make_seeds COMMAND make_seeds ${fuzz_dir}/seeds)
    set_tests_properties(fuzz/make_seeds PROPERTIES FIXTURES_SETUP fuzz_seeds)
    file(GLOB FUZZERS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.c)
    foreach(source ${FUZZERS})
        get_filename_component(name ${source} NAME_WE)
        add_executable(${name} ${source})
        target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
        target_link_libraries(${name} PRIVATE softless_static softless_flags)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
        if(NOT DEFINED seeds_${name})
            set(seeds_${name} ${fuzz_dir}/seeds/${name})
        endif()
        file(MAKE_DIRECTORY ${fuzz_dir}/corpus/${name})
        add_test(NAME fuzz/${name} COMMAND ${name} -max_total_time=5 -max_len=65536 -timeout=5
            -rss_limit_mb=1024 -print_final_stats=1 ${fuzz_dir}/corpus/${name} ${seeds_${name}}
            WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
        set_tests_properties(fuzz/${name} PROPERTIES FIXTURES_REQUIRED fuzz_seeds)
    endforeach()
endif()
