# Every outside library, found once; what it is for stands beside it. Debian's packages are listed in
# scripts/install-deps.sh.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)     # JSON in
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)       # recipes
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)    # digests
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)          # images
pkg_check_modules(JPEG REQUIRED IMPORTED_TARGET libjpeg)        # images
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)           # gzip, crc32

set(SOFTLESS_LIBS Threads::Threads PkgConfig::JANSSON PkgConfig::YAML PkgConfig::XXHASH
    PkgConfig::PNG PkgConfig::JPEG PkgConfig::ZLIB m)
set(SOFTLESS_DEFINITIONS)

if(SOFTLESS_OPENMP)
    find_package(OpenMP REQUIRED COMPONENTS C)                  # compute threads
    list(APPEND SOFTLESS_LIBS OpenMP::OpenMP_C)
endif()
if(SOFTLESS_ONEDNN)
    # Debian's CMake package for oneDNN asks for OpenCL, so it is found by hand.
    find_path(DNNL_INCLUDE_DIR dnnl.h)
    find_library(DNNL_LIBRARY dnnl)
    if(NOT DNNL_INCLUDE_DIR OR NOT DNNL_LIBRARY)
        message(FATAL_ERROR "oneDNN not found: run scripts/install-deps.sh, or configure with "
            "-DSOFTLESS_ONEDNN=OFF (matrix products then run on plain C kernels)")
    endif()
    list(APPEND SOFTLESS_LIBS ${DNNL_LIBRARY})
    list(APPEND SOFTLESS_DEFINITIONS SOFTLESS_HAVE_ONEDNN)
endif()
# What sl_build_info says of them.
list(APPEND SOFTLESS_DEFINITIONS "SOFTLESS_LIBRARIES=\"jansson ${JANSSON_VERSION}, libyaml \
${YAML_VERSION}, xxhash ${XXHASH_VERSION}, libpng ${PNG_VERSION}, libjpeg ${JPEG_VERSION}, zlib \
${ZLIB_VERSION}\"")
