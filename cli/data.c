/*
 * softless data: what a data set holds.
 */
#include <string.h>

#include "cli.h"

int cli_data(const struct cli_verb *verb, int argc, char **argv)
{
    const char *format_text = "text";
    const struct cli_option options[] = {
        {"format", 0, CLI_TEXT, &format_text, "FORMAT", "text or json"},
    };
    const struct cli_parse p = {verb, options, sizeof options / sizeof options[0], NULL, 2, 2};
    int first;
    bool stop;
    enum cli_format format = CLI_TEXT_FORMAT;
    char *text = NULL;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st == SL_OK && stop)
        return cli_finish(st);
    if (st == SL_OK && strcmp(argv[first], "info") != 0)
        st = cli_usage("unknown 'softless data %s'; there is: info", argv[first]);
    if (st == SL_OK)
        st = cli_format_parse(format_text, false, &format);
    if (st == SL_OK)
        st = sl_data_info(argv[first + 1], format == CLI_JSON_FORMAT, &text);
    if (st == SL_OK)
        fputs(text, stdout);
    sl_text_free(&text);
    return cli_finish(st);
}
