/*
 * The transfer of a finished run: its few-shot accuracy on other data sets (figure 1 of the paper,
 * right), measured from the final weights, noted in the run's summary. A run that was done before
 * its recipe named the sets is measured when the same command runs again.
 */
#define _POSIX_C_SOURCE 200809L
#include "api/transfer.h"

#include <math.h>
#include <string.h>

#include "api/context.h"
#include "base/alloc.h"
#include "base/log.h"
#include "config/config.h"
#include "softless_probe.h"
#include "train/run_dir.h"

enum { SHOTS = 10 }; /* mean over the probe's seeds 0, 1, 2 */

sl_status sl_transfer_check(const char *sets)
{
    char *copy = sl_strdup(sets), *rest = NULL;
    sl_status st = copy ? SL_OK : SL_ERR_MEMORY;
    for (char *set = copy ? strtok_r(copy, SL_LIST_BLANKS, &rest) : NULL; set && st == SL_OK;
         set = strtok_r(NULL, SL_LIST_BLANKS, &rest)) {
        struct sl_dataset *train = NULL, *test = NULL;
        st = sl_dataset_open_pair(set, &train, &test);
        sl_dataset_free(&train);
        sl_dataset_free(&test);
    }
    sl_free(copy);
    return st == SL_OK ? SL_OK : sl_error_prefix(st, "eval.transfer");
}

static sl_status measure(sl_context *ctx, sl_model *model, char *sets, double *transfer)
{
    const size_t shots = SHOTS;
    double sum = 0;
    size_t n = 0;
    char *rest = NULL;
    for (char *set = strtok_r(sets, SL_LIST_BLANKS, &rest); set;
         set = strtok_r(NULL, SL_LIST_BLANKS, &rest)) {
        if (atomic_load(&ctx->stop))
            SL_FAIL(SL_ERR_INTERRUPTED,
                    "stopped before the transfer to %s; training is done, the same command goes on",
                    set);
        const char *const data[] = {set};
        sl_probe_result result = {0};
        SL_TRY(sl_probe(
            model,
            &(sl_probe_options){
                .data = data, .n_data = 1, .shots = &shots, .n_shots = 1, .max_bad_fraction = 0.05},
            &result));
        sl_log(SL_LOG_INFO, "transfer to %s: %.2f%% with %d shots", set, 100 * result.average[0],
               SHOTS);
        sum += result.average[0];
        n++;
        sl_probe_result_free(&result);
    }
    *transfer = n ? sum / (double)n : NAN;
    return SL_OK;
}

sl_status sl_transfer_measure(sl_context *ctx, const char *sets, sl_train_result *result)
{
    sl_model *model = NULL;
    char *copy = sl_strdup(sets);
    sl_status st = copy ? sl_model_load(ctx, result->run_dir, &model) : SL_ERR_MEMORY;
    if (st == SL_OK)
        st = measure(ctx, model, copy, &result->transfer);
    if (st == SL_OK)
        st = sl_run_finish(result->run_dir, result);
    sl_model_free(&model);
    sl_free(copy);
    return st;
}
