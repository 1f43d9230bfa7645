/*
 * Opening devices by name, and the planning protocol they share.
 */
#include "ops/ops.h"

#include <string.h>

#include "base/alloc.h"
#include "ops/cpu/cpu.h"

sl_status sl_device_open(const char *name, int threads, const char *isa, struct sl_device **dev)
{
    if (!name || strcmp(name, "cpu") == 0)
        return sl_cpu_open(threads, isa, dev);
    SL_FAIL(SL_ERR_ARGUMENT, "unknown device '%s'; this build has: cpu", name);
}

void sl_device_close(struct sl_device **dev)
{
    if (!dev || !*dev)
        return;
    (*dev)->ops->mem_free(*dev, (*dev)->scratch);
    (*dev)->ops->close(*dev);
    sl_free(*dev);
    *dev = NULL;
}

void sl_device_plan_begin(struct sl_device *dev)
{
    dev->planning = true;
    dev->scratch_needed = 0;
}

sl_status sl_device_plan_end(struct sl_device *dev)
{
    dev->planning = false;
    if (dev->scratch_needed <= dev->scratch_bytes)
        return SL_OK;
    void *larger; /* before the old one goes: what was planned with it must run on if this fails */
    SL_TRY(dev->ops->mem_alloc(dev, dev->scratch_needed, &larger));
    dev->ops->mem_free(dev, dev->scratch);
    dev->scratch = larger;
    dev->scratch_bytes = dev->scratch_needed;
    return SL_OK;
}
