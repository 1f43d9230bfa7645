/*
 * Text buffers, escaping, edit distance.
 */
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/number.h"

static bool reserve(sl_text *t, size_t more)
{
    if (t->failed)
        return false;
    if (t->length + more + 1 <= t->capacity)
        return true;
    size_t capacity = t->capacity ? t->capacity : 256;
    while (capacity < t->length + more + 1)
        capacity *= 2;
    char *text = sl_regrow(t->text, t->capacity, capacity, 1);
    if (!text) {
        t->failed = true;
        return false;
    }
    t->text = text;
    t->capacity = capacity;
    return true;
}

static void add_bytes(sl_text *t, const char *s, size_t n)
{
    if (!reserve(t, n))
        return;
    memcpy(t->text + t->length, s, n);
    t->length += n;
    t->text[t->length] = '\0';
}

void sl_text_add(sl_text *t, const char *s)
{
    add_bytes(t, s, strlen(s));
}

void sl_text_addf(sl_text *t, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = sl_vprint(NULL, 0, fmt, args);
    va_end(args);
    if (n >= 0 && reserve(t, (size_t)n)) {
        sl_vprint(t->text + t->length, (size_t)n + 1, fmt, again);
        t->length += (size_t)n;
    }
    va_end(again);
}

enum { REPLACEMENT = 0xFFFD };

/* Bytes of the UTF-8 character at s (n remain) with its number, or 0 if it is not one. */
static size_t utf8_decode(const unsigned char *s, size_t n, unsigned *code)
{
    static const unsigned lowest[5] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t k = s[0] < 0x80       ? 1
                     : s[0] >> 5 == 6  ? 2
                     : s[0] >> 4 == 14 ? 3
                     : s[0] >> 3 == 30 ? 4
                                       : 0;
    if (k == 0 || k > n)
        return 0;
    unsigned x = k == 1 ? s[0] : s[0] & (0x7Fu >> k);
    for (size_t i = 1; i < k; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        x = x << 6 | (s[i] & 0x3Fu);
    }
    const bool surrogate = x >= 0xD800 && x < 0xE000;
    if (x < lowest[k] || x > 0x10FFFF || surrogate)
        return 0;
    *code = x;
    return k;
}

bool sl_text_is_utf8(const char *s)
{
    unsigned code;
    size_t left = strlen(s);
    for (size_t k; left > 0; s += k, left -= k)
        if ((k = utf8_decode((const unsigned char *)s, left, &code)) == 0)
            return false;
    return true;
}

/* Whether JSON and YAML both take the character as it stands. Outside ASCII: no C1 control, no line
 * or paragraph separator (breaks in YAML), no byte order mark, no U+FFFE or U+FFFF. */
static bool writable(unsigned code)
{
    if (code < 0x80)
        return code >= 0x20 && code < 0x7F && code != '"' && code != '\\';
    return code >= 0xA0 && code != 0x2028 && code != 0x2029 && code != 0xFEFF && code != 0xFFFE &&
           code != 0xFFFF;
}

void sl_text_add_json_string(sl_text *t, const char *s)
{
    const unsigned char *c = (const unsigned char *)s;
    size_t left = strlen(s), k;
    add_bytes(t, "\"", 1);
    for (; left > 0; c += k, left -= k) {
        unsigned code = REPLACEMENT;
        k = utf8_decode(c, left, &code);
        if (k > 0 && writable(code))
            add_bytes(t, (const char *)c, k);
        else if (code == '"' || code == '\\')
            sl_text_addf(t, "\\%c", (int)code);
        else
            sl_text_addf(t, "\\u%04x", code);
        k = k > 0 ? k : 1;
    }
    add_bytes(t, "\"", 1);
}

/* The shortest decimal that reads back as the same double; without an exponent where a person would
 * write none. */
void sl_text_add_json_number(sl_text *t, double x)
{
    char s[40];
    int decimals = 0, exponent = 0;
    if (!isfinite(x)) {
        sl_text_add(t, "null");
        return;
    }
    for (; decimals < 17; decimals++) {
        double back = 0;
        sl_print(s, sizeof s, "%.*e", decimals, x);
        if (sl_parse_real(s, &back) && back == x)
            break;
    }
    /* the exponent as printed: that of log10(x) is one too high just below a power of ten */
    sscanf(strchr(s, 'e') + 1, "%d", &exponent);
    if (x == 0 || (exponent >= -4 && exponent < 15))
        sl_print(s, sizeof s, "%.*f", decimals > exponent ? decimals - exponent : 0, x);
    else
        sl_print(s, sizeof s, "%.*g", decimals + 1, x);
    sl_text_add(t, s);
}

sl_status sl_text_take(sl_text *t, char **out)
{
    if (!t->failed && !t->text)
        reserve(t, 0); /* nothing was added: hand out "" */
    if (t->failed) {
        sl_text_clear(t);
        SL_FAIL(SL_ERR_MEMORY, "out of memory while a text was put together");
    }
    *out = t->text;
    *t = (sl_text){0};
    return SL_OK;
}

void sl_text_clear(sl_text *t)
{
    sl_free(t->text);
    *t = (sl_text){0};
}

const char *sl_escape(const void *bytes, size_t n, char out[SL_ESCAPED_SIZE])
{
    enum { CUT = 200 };
    const unsigned char *s = bytes;
    size_t used = 0;
    for (size_t i = 0; i < n;) {
        unsigned code = 0;
        const size_t k = utf8_decode(s + i, n - i, &code);
        const bool plain = k > 0 && code >= 0x20 && (code < 0x7F || code >= 0xA0);
        const size_t need = plain ? k : 4;
        if (used + need > CUT) {
            memcpy(out + used, "...", 4);
            return out;
        }
        if (plain) {
            memcpy(out + used, s + i, k);
            i += k;
        } else {
            snprintf(out + used, 5, "\\x%02X", s[i]);
            i++;
        }
        used += need;
    }
    out[used] = '\0';
    return out;
}

/* Levenshtein distance of words of up to MAX_WORD characters; longer ones are no candidates. */
enum { MAX_WORD = 63 };

static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t row[MAX_WORD + 1];
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            const size_t change = diagonal + (a[i - 1] != b[j - 1]);
            const size_t insert = row[j - 1] + 1, drop = row[j] + 1;
            diagonal = row[j];
            row[j] = change < insert ? change : insert;
            if (drop < row[j])
                row[j] = drop;
        }
    }
    return row[nb];
}

const char *sl_nearest(const char *word, const char *const *names, size_t n)
{
    const size_t length = strlen(word);
    const char *best = NULL;
    size_t best_distance = length / 3 + 2;
    for (size_t i = 0; i < n && length <= MAX_WORD; i++) {
        const size_t other = strlen(names[i]);
        if (other > MAX_WORD)
            continue;
        const size_t distance = edit_distance(word, length, names[i], other);
        if (distance < best_distance && distance < other) {
            best_distance = distance;
            best = names[i];
        }
    }
    return best;
}

bool sl_ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && memcmp(s + n - m, end, m) == 0;
}
