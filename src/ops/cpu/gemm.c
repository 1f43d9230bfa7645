#include "ops/cpu/cpu.h"
sl_status sl_cpu_gemm(struct sl_device *d, const struct sl_gemm_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
sl_status sl_cpu_pack_weight(struct sl_device *d, const struct sl_pack_args *a)
{
    (void)d;
    (void)a;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
sl_status sl_cpu_gemm_open(struct sl_device *dev)
{
    (void)dev;
    return SL_OK;
}
void sl_cpu_gemm_close(struct sl_device *dev)
{
    (void)dev;
}
size_t sl_cpu_pack_weight_bytes(size_t n, size_t k, sl_dtype type)
{
    (void)type;
    return n * k * 4;
}
sl_status sl_cpu_measure_peak(struct sl_device *d, sl_dtype type, double s, double *f)
{
    (void)d;
    (void)type;
    (void)s;
    (void)f;
    SL_FAIL(SL_ERR_UNSUPPORTED, "stub");
}
