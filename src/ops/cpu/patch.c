#include "ops/cpu/cpu.h"
sl_status sl_cpu_patch(struct sl_device *d, const struct sl_patch_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
