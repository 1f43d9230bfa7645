/*
 * softless data: what a data set holds, tar shards written from it, and their index files.
 */
#include <string.h>
#include <unistd.h>

#include "cli.h"

struct arguments {
    const char *format, *on_bad;
    long shard_images, seed;
    bool in_order, quiet;
};

static sl_status info(const char *spec, const char *format_text)
{
    enum cli_format format = CLI_TEXT_FORMAT;
    char *text = NULL;
    sl_status st = cli_format_parse(format_text, false, &format);
    if (st == SL_OK)
        st = sl_data_info(spec, format == CLI_JSON_FORMAT, &text);
    if (st == SL_OK)
        fputs(text, stdout);
    sl_text_free(&text);
    return st;
}

/* ---- pack ---- */

struct bar {
    bool quiet, terminal;
    double start, printed;
};

/* On a terminal a bar that is redrawn; into a pipe a line every ten seconds. */
static void draw_bar(void *user, size_t done, size_t total)
{
    enum { WIDTH = 20 }; /* with the numbers less than a terminal of 80 columns */
    struct bar *b = user;
    char cells[WIDTH + 1] = "";
    const double now = cli_now(), spent = now - b->start;
    if (b->quiet || (done < total && now - b->printed < (b->terminal ? 0.2 : 10)))
        return;
    b->printed = now;
    memset(cells, '.', WIDTH);
    memset(cells, '#', done * WIDTH / total);
    const double speed = spent > 0 ? (double)done / spent : 0;
    fprintf(stderr, "%s[%s] %zu/%zu images  %.0f img/s  ETA %.0f s%s",
            b->terminal ? "\r\033[K" : "", cells, done, total, speed,
            speed > 0 ? (double)(total - done) / speed : 0,
            b->terminal && done < total ? "" : "\n");
}

static sl_status parse_on_bad(const char *text, sl_pack_bad *on_bad)
{
    static const char *const names[] = {
        [SL_PACK_KEEP] = "keep", [SL_PACK_STOP] = "stop", [SL_PACK_SKIP] = "skip"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *on_bad = (sl_pack_bad)i;
            return SL_OK;
        }
    return cli_usage("--on-bad is %s; it is keep, stop or skip", text);
}

static sl_status pack(const char *spec, const char *folder, const struct arguments *a)
{
    struct bar bar = {.quiet = a->quiet, .terminal = isatty(STDERR_FILENO), .start = cli_now()};
    sl_pack_options o = {.progress = draw_bar, .user = &bar, .in_order = a->in_order};
    sl_pack_result r;
    sl_context *ctx = NULL; /* for its log lines, which name the images left out */
    const struct cli_machine machine = {.quiet = a->quiet};
    sl_status st = parse_on_bad(a->on_bad, &o.on_bad);
    bar.printed = bar.start;
    if (st == SL_OK && (a->shard_images < 1 || a->seed < 0))
        st = cli_usage("--shard-images is at least 1 and --seed at least 0");
    o.shard_images = (size_t)a->shard_images;
    o.seed = (uint64_t)a->seed;
    if (st == SL_OK)
        st = cli_open(&machine, &ctx);
    if (st == SL_OK)
        st = sl_data_pack(spec, folder, &o, &r);
    if (st == SL_OK)
        printf("%s: %zu shards, %zu images, %.1f MB, %zu bad images left out\n", folder, r.shards,
               r.images, (double)r.bytes / 1e6, r.left_out);
    sl_context_close(&ctx);
    return st;
}

int cli_data(const struct cli_verb *verb, int argc, char **argv)
{
    struct arguments a = {.format = "text", .on_bad = "keep", .shard_images = 1000};
    const struct cli_option options[] = {
        {"format", 0, CLI_TEXT, &a.format, "text|json", "of info"},
        {"shard-images", 0, CLI_INT, &a.shard_images, "N", "of pack: images a shard (1000)"},
        {"on-bad", 0, CLI_TEXT, &a.on_bad, "keep|stop|skip",
         "of pack, bad images: keep (default; images are not decoded), stop there, or leave out"},
        {"seed", 0, CLI_INT, &a.seed, "S", "of pack: of the order of the images (0)"},
        {"in-order", 0, CLI_FLAG, &a.in_order, NULL, "of pack: do not shuffle"},
        {"quiet", 'q', CLI_FLAG, &a.quiet, NULL, "no progress"},
    };
    const struct cli_parse p = {verb, options, sizeof options / sizeof options[0], NULL, 2, 3};
    int first;
    bool stop;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st != SL_OK || stop)
        return cli_finish(st);
    const char *what = argv[first], *spec = argv[first + 1];
    const bool packs = strcmp(what, "pack") == 0;
    if ((argc - first == 3) != packs)
        st = cli_usage("usage: softless data info SPEC, index SPEC, or pack SPEC FOLDER");
    else if (packs)
        st = pack(spec, argv[first + 2], &a);
    else if (strcmp(what, "info") == 0)
        st = info(spec, a.format);
    else if (strcmp(what, "index") == 0)
        st = sl_data_index(spec);
    else
        st = cli_usage("unknown 'softless data %s'; there are: info, index, pack", what);
    return cli_finish(st);
}
