/*
 * softless inspect: what a weights file or a run directory is.
 */
#include "cli.h"

int cli_inspect(const struct cli_verb *verb, int argc, char **argv)
{
    struct cli_machine machine = {0};
    const char *format_text = "text";
    const struct cli_option options[] = {
        {"format", 0, CLI_TEXT, &format_text, "text|json", "of the output"},
    };
    const struct cli_parse p = {verb, options, sizeof options / sizeof options[0], &machine, 1, 1};
    int first;
    bool stop;
    enum cli_format format = CLI_TEXT_FORMAT;
    sl_context *ctx = NULL;
    char *text = NULL;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st == SL_OK && stop)
        return cli_finish(st);
    if (st == SL_OK)
        st = cli_format_parse(format_text, false, &format);
    if (st == SL_OK)
        st = cli_open(&machine, &ctx);
    if (st == SL_OK)
        st = sl_inspect(ctx, argv[first], format == CLI_JSON_FORMAT, &text);
    if (st == SL_OK)
        fputs(text, stdout);
    sl_text_free(&text);
    sl_context_close(&ctx);
    return cli_finish(st);
}
