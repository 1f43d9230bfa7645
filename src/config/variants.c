/*
 * Model sizes by name, as in big_vision: "S/16" is size S with patch side 16.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/config.h"

static const struct {
    const char *name;
    size_t width, depth, mlp, heads;
} variants[] = {
    {"mu", 32, 1, 128, 2},          {"Ti", 192, 12, 768, 3},   {"S", 384, 12, 1536, 6},
    {"M", 512, 12, 2048, 8},        {"B", 768, 12, 3072, 12},  {"L", 1024, 24, 4096, 16},
    {"So400m", 1152, 27, 4304, 16}, {"H", 1280, 32, 5120, 16}, {"g", 1408, 40, 6144, 16},
    {"g-opt", 1536, 40, 6144, 16},  {"G", 1664, 48, 8192, 16}, {"G-opt", 1536, 48, 8192, 16},
    {"e", 1792, 56, 15360, 16},
};
enum { N_VARIANTS = sizeof variants / sizeof variants[0] };

static void fill(size_t *field, size_t value)
{
    if (*field == 0)
        *field = value;
}

static sl_status unknown_variant(const char *text, const char *size)
{
    const char *names[N_VARIANTS];
    char escaped[SL_ESCAPED_SIZE];
    for (size_t i = 0; i < N_VARIANTS; i++)
        names[i] = variants[i].name;
    const char *near = sl_nearest(size, names, N_VARIANTS);
    SL_FAIL(
        SL_ERR_CONFIG,
        "model.variant: '%s' is not a size (mu Ti S M B L So400m H g g-opt G G-opt e), a slash and "
        "a patch side, as in 'S/16'%s%s%s",
        sl_escape(text, strlen(text), escaped), near ? "; did you mean '" : "", near ? near : "",
        near ? "'?" : "");
}

sl_status sl_variant_apply(const char *variant, struct sl_vit_config *vit)
{
    char size[SL_NAME_MAX];
    const char *slash = strchr(variant, '/');
    const size_t length = slash ? (size_t)(slash - variant) : strlen(variant);
    snprintf(size, sizeof size, "%.*s", (int)(length < sizeof size ? length : sizeof size - 1),
             variant);
    unsigned long patch = 0;
    if (slash) {
        char *end;
        patch = strtoul(slash + 1, &end, 10);
        if (slash[1] < '1' || slash[1] > '9' || *end || patch > 1024)
            return unknown_variant(variant, size);
    }
    for (size_t i = 0; i < N_VARIANTS; i++) {
        if (strcmp(variants[i].name, size) != 0)
            continue;
        fill(&vit->width, variants[i].width);
        fill(&vit->depth, variants[i].depth);
        fill(&vit->mlp, variants[i].mlp);
        fill(&vit->heads, variants[i].heads);
        fill(&vit->patch, patch);
        return SL_OK;
    }
    return unknown_variant(variant, size);
}
