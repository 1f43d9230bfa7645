#include "ops/cpu/cpu.h"
sl_status sl_cpu_embed_fwd(struct sl_device *d, const struct sl_embed_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
sl_status sl_cpu_embed_bwd(struct sl_device *d, const struct sl_embed_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
sl_status sl_cpu_pool_fwd(struct sl_device *d, const struct sl_pool_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
sl_status sl_cpu_pool_bwd(struct sl_device *d, const struct sl_pool_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
sl_status sl_cpu_scale_add_fwd(struct sl_device *d, const struct sl_scale_add_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
sl_status sl_cpu_scale_add_bwd(struct sl_device *d, const struct sl_scale_add_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
