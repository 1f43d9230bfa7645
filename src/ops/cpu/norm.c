#include "ops/cpu/cpu.h"
sl_status sl_cpu_norm_fwd(struct sl_device *d, const struct sl_norm_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
sl_status sl_cpu_norm_bwd(struct sl_device *d, const struct sl_norm_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
