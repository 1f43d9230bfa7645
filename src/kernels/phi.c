/*
 * The table of phi and its names.
 */
#include "kernels/phi.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

static const struct sl_phi_info table[SL_PHI_COUNT] = {
    [SL_PHI_SOFTMAX] = {.name = "softmax"},
#define SL_PHI_CLAMP(id, text, power, zero, low, high) [id] = {text, power, zero, true, low, high},
#define SL_PHI_MAP(id, text, power, zero, function) [id] = {text, power, zero, false, 0, 0},
#include "kernels/phi_list.h"
};

const struct sl_phi_info *sl_phi_info(sl_phi phi)
{
    return (unsigned)phi < SL_PHI_COUNT ? &table[phi] : NULL;
}

const char *sl_phi_name(sl_phi phi)
{
    return (unsigned)phi < SL_PHI_COUNT ? table[phi].name : NULL;
}

static const char all_names[] = "softmax"
#define SL_PHI_CLAMP(id, text, power, zero, low, high) ", " text
#define SL_PHI_MAP(id, text, power, zero, function) ", " text
#include "kernels/phi_list.h"
    ;

sl_status sl_phi_parse(const char *name, sl_phi *phi)
{
    if (!name || !phi)
        SL_FAIL(SL_ERR_ARGUMENT, "sl_phi_parse: name and phi must not be NULL");
    const char *names[SL_PHI_COUNT];
    for (size_t i = 0; i < SL_PHI_COUNT; i++) {
        names[i] = table[i].name;
        if (strcmp(name, names[i]) == 0) {
            *phi = (sl_phi)i;
            return SL_OK;
        }
    }
    char shown[SL_ESCAPED_SIZE];
    sl_escape(name, strlen(name), shown);
    const char *near = sl_nearest(name, names, SL_PHI_COUNT);
    if (near)
        SL_FAIL(SL_ERR_ARGUMENT, "unknown phi '%s'; did you mean '%s'?", shown, near);
    SL_FAIL(SL_ERR_ARGUMENT, "unknown phi '%s'; it must be one of %s", shown, all_names);
}
