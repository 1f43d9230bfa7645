/*
 * libFuzzer: CIFAR records. The first byte chooses the kind; the rest is read as a file, twice, so
 * that appending is covered.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "data/cifar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct sl_cifar *c, const struct sl_cifar_layout *layout, size_t n)
{
    const int32_t classes = layout->limits[layout->label_bytes - 1];
    if (c->n != n)
        abort();
    for (size_t i = 0; i < n; i++) {
        if (c->labels[i] < 0 || c->labels[i] >= classes)
            abort();
    }
    if (n > 0 && memcmp(c->pixels, c->pixels + n / 2 * SL_CIFAR_PIXELS, SL_CIFAR_PIXELS) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_cifar c = {0};
    if (size < 1)
        return 0;
    const struct sl_cifar_layout *layout = data[0] & 1 ? &sl_cifar100_layout : &sl_cifar10_layout;
    const size_t record = layout->label_bytes + SL_CIFAR_PIXELS, n = (size - 1) / record;
    if (sl_cifar_append(layout, data + 1, size - 1, "input", &c) == SL_OK &&
        sl_cifar_append(layout, data + 1, size - 1, "input", &c) == SL_OK)
        check(&c, layout, 2 * n);
    else if (c.n != 0 || c.pixels || c.labels)
        abort();
    sl_free(c.pixels);
    sl_free(c.labels);
    return 0;
}
