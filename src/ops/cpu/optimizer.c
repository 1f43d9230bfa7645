#include "ops/cpu/cpu.h"
sl_status sl_cpu_sumsq(struct sl_device *d, const struct sl_sumsq_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
sl_status sl_cpu_update(struct sl_device *d, const struct sl_update_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
