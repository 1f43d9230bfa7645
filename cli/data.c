/*
 * softless data: what a data set holds, and index files for tar shards.
 */
#include <string.h>

#include "cli.h"

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

int cli_data(const struct cli_verb *verb, int argc, char **argv)
{
    const char *format = "text";
    const struct cli_option options[] = {
        {"format", 0, CLI_TEXT, &format, "FORMAT", "of info: text or json"},
    };
    const struct cli_parse p = {verb, options, sizeof options / sizeof options[0], NULL, 2, 2};
    int first;
    bool stop;
    sl_status st = cli_parse(&p, argc, argv, &first, &stop);
    if (st != SL_OK || stop)
        return cli_finish(st);
    const char *what = argv[first], *spec = argv[first + 1];
    if (strcmp(what, "info") == 0)
        st = info(spec, format);
    else if (strcmp(what, "index") == 0)
        st = sl_data_index(spec);
    else
        st = cli_usage("unknown 'softless data %s'; there are: info, index", what);
    return cli_finish(st);
}
