/*
 * Opening a context, and what the library says of itself.
 */
#include "api/context.h"

#include <stdio.h>

#include "base/alloc.h"
#include "kernels/cpu.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *sl_version(void)
{
    return TEXT(SL_VERSION_MAJOR) "." TEXT(SL_VERSION_MINOR) "." TEXT(SL_VERSION_PATCH);
}

int sl_abi_version(void)
{
    return 0;
}

#ifdef __clang__
#define COMPILER_TEXT __VERSION__
#else
#define COMPILER_TEXT "gcc " __VERSION__
#endif
const char *sl_build_info(void)
{
    static _Thread_local char text[512];
    enum sl_isa isa;
    const bool chosen = sl_isa_choose(NULL, &isa) == SL_OK;
    snprintf(text, sizeof text,
             "softless %s, interface %d\n"
             "libraries: %s\n"
             "compiler: %s\n"
             "kernels: %s (this CPU: %s)\n",
             sl_version(), sl_abi_version(), SOFTLESS_LIBRARIES, COMPILER_TEXT,
             chosen ? sl_isa_name(isa) : "SOFTLESS_ISA is not usable here",
             sl_isa_name(sl_isa_native()));
    return text;
}

sl_status sl_context_open(const sl_context_options *options, sl_context **ctx)
{
    if (!ctx)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_context_open: ctx must not be NULL");
    const sl_context_options defaults = SL_CONTEXT_OPTIONS_INIT;
    if (!options)
        options = &defaults;
    if (options->threads < 0 || options->threads > 4096)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_context_open: threads is %d; it must be 0 (automatic) to 4096",
                options->threads);
    sl_context *c = NULL;
    sl_status st = SL_OK;
    SL_TRY_FREE(SL_NEW(c, 1));
    SL_TRY_FREE(sl_device_open(options->device, options->threads, options->isa, &c->dev));
    atomic_init(&c->stop, false);
    *ctx = c;
    return SL_OK;
fail:
    sl_free(c);
    return st;
}

void sl_context_close(sl_context **ctx)
{
    if (!ctx || !*ctx)
        return;
    sl_device_close(&(*ctx)->dev);
    sl_free(*ctx);
    *ctx = NULL;
}

void sl_context_request_stop(sl_context *ctx)
{
    if (ctx)
        atomic_store(&ctx->stop, true);
}

int sl_context_threads(const sl_context *ctx)
{
    return ctx ? ctx->dev->threads : 0;
}

const char *sl_context_isa(const sl_context *ctx)
{
    return ctx ? ctx->dev->isa : NULL;
}
