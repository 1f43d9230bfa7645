# Build options and the flags every target shares.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")

option(SOFTLESS_TESTS "Build the tests" ON)
option(SOFTLESS_WERROR "Treat warnings as errors" OFF)
option(SOFTLESS_FUZZ "Build the libFuzzer targets (clang)" OFF)
set(SOFTLESS_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined")

add_library(softless_flags INTERFACE)
target_compile_options(softless_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
    -fno-math-errno -fno-trapping-math -fno-omit-frame-pointer)
if(SOFTLESS_WERROR)
    target_compile_options(softless_flags INTERFACE -Werror)
endif()
if(SOFTLESS_SANITIZE)
    target_compile_options(softless_flags INTERFACE
        -fsanitize=${SOFTLESS_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(softless_flags INTERFACE -fsanitize=${SOFTLESS_SANITIZE})
endif()
if(SOFTLESS_FUZZ) # clang only: the library is instrumented, the targets add the driver
    target_compile_options(softless_flags INTERFACE
        -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
    target_link_options(softless_flags INTERFACE -fsanitize=address,undefined)
endif()
