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
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive)  # compressed shards

set(SOFTLESS_LIBS Threads::Threads PkgConfig::JANSSON PkgConfig::YAML PkgConfig::XXHASH
    PkgConfig::PNG PkgConfig::JPEG PkgConfig::ZLIB PkgConfig::ARCHIVE m)
set(SOFTLESS_DEFINITIONS)
# What sl_build_info says of them.
list(APPEND SOFTLESS_DEFINITIONS "SOFTLESS_LIBRARIES=\"jansson ${JANSSON_VERSION}, libyaml \
${YAML_VERSION}, xxhash ${XXHASH_VERSION}, libpng ${PNG_VERSION}, libjpeg ${JPEG_VERSION}, zlib \
${ZLIB_VERSION}, libarchive ${ARCHIVE_VERSION}\"")
