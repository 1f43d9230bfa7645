#include "ops/cpu/cpu.h"
sl_status sl_cpu_attn_fwd(struct sl_device *d, const struct sl_attn_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
sl_status sl_cpu_attn_bwd(struct sl_device *d, const struct sl_attn_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
