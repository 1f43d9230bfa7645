/*
 * softless: finds the verb and hands over.
 */
#include <signal.h>
#include <string.h>

#include "manual.h"

const struct cli_verb cli_verbs[] = {
    {"train", "RECIPE [--set key=value ...]", "train a recipe, or go on with its run",
     "  softless train fashion-mnist\n"
     "  softless train recipes/fashion-mnist.yaml --set model.h=softmax --set seed=1\n"
     "  softless train my.yaml --run-dir runs/trial --threads 4\n",
     NULL, cli_train},
    {"eval", "RUN|WEIGHTS [--data SPEC]", "accuracy of a model on a data set",
     "  softless eval runs/fashion-mnist-0123456789ab\n"
     "  softless eval model.safetensors --data fashion-mnist:test --format json\n"
     "  softless eval i21k.safetensors --data imagenet/val --classes intersect\n"
     "  softless eval i1k.safetensors --data imagenet/val --labels real.json\n",
     NULL, cli_eval},
    {"probe", "RUN|WEIGHTS --data A,B,C", "few-shot linear probe of the features on data sets",
     "  softless probe model.safetensors --data fashion-mnist\n"
     "  softless probe model.safetensors --data birds,cars,pets --shots 10 --csv probe.csv\n"
     "  softless probe runs/fashion-mnist-0123456789ab --data stamps/ --knn 20 --format json\n",
     NULL, cli_probe},
    {"predict", "RUN|WEIGHTS IMAGE...", "classes of JPEG and PNG files",
     "  softless predict model.safetensors shoe.png coat.jpg\n"
     "  softless predict model.safetensors *.png --top 1 --format csv\n",
     NULL, cli_predict},
    {"explain", "RUN|WEIGHTS IMAGE...", "what every attention head looks at in an image",
     "  softless explain runs/fashion-mnist-0123456789ab shoe.png --out maps\n"
     "  softless explain model.safetensors *.jpg --out maps --weights --format csv > heads.csv\n"
     "\n"
     "The picture has a row for each block: the mean of its heads, then each head. Orange is\n"
     "weight on a patch, blue negative weight, each cell by its own largest; plain grey: a head\n"
     "that looks nowhere. Figures of a head: mass = sum of a query's weights (mean, least, most);\n"
     "entropy of where it looks, 1 = everywhere alike; zeros = share of weights that are 0; dead\n"
     "rows = share of queries without any weight; distance it looks, in pixels of the input.\n",
     NULL, cli_explain},
    {"inspect", "FILE|RUN", "what a weights file or a run directory is",
     "  softless inspect model.safetensors\n"
     "  softless inspect runs/fashion-mnist-0123456789ab --format json\n",
     NULL, cli_inspect},
    {"import", "FILE --out WEIGHTS", "weights of big_vision, timm or torchvision",
     "  softless import S_16-i21k.npz --out s16.safetensors\n"
     "  softless import vit_small_patch16_224.safetensors --heads 6 --out s16.safetensors\n"
     "  softless import vit_b_16.safetensors --heads 12 --pixels imagenet --out b16.safetensors\n"
     "  softless train my.yaml --init s16.safetensors --reset-head --set model.h=relu\n",
     NULL, cli_import},
    {"export", "RUN|WEIGHTS --out FILE", "a model as ONNX, or as safetensors with timm's names",
     "  softless export runs/fashion-mnist-0123456789ab --out model.onnx\n"
     "  softless export runs/fashion-mnist-0123456789ab --out model.safetensors\n"
     "\n"
     "ONNX (opset 17): images [batch, 3, height, width], RGB, scaled to the range that the file's\n"
     "metadata names (pixel_range, mostly -1 1) -> logits [batch, classes]. For timm: "
     "docs/weights.md\n",
     NULL, cli_export},
    {"config", "list | show RECIPE | check RECIPE... | keys",
     "recipes by name, resolved, checked with their cost; every key with its meaning",
     "  softless config list\n"
     "  softless config show fashion-mnist\n"
     "  softless config check paper/vit_i1k --set model.variant=B/16 --gflops 20000\n"
     "  softless config check recipes/paper/*_i*k.yaml --measure\n"
     "  softless config show my.yaml --set model.alpha=0.5 --origin\n"
     "  softless config keys\n",
     "list show check keys", cli_config},
    {"sweep", "STUDY [--plan | --status]", "the runs of a recipe with axes, those that are missing",
     "  softless sweep paper/fig2-l49 --plan --gflops 150\n"
     "  softless sweep paper/fig2-l49 --jobs 2\n"
     "  softless sweep paper/fig2-l49 --status\n"
     "  softless sweep paper/fig3-l49 --from studies/fig2-l49/sweep.csv\n"
     "  softless sweep my.yaml --dir /shared/my-study --set train.total_steps=500\n",
     NULL, cli_sweep},
    {"plot", "STUDY...", "the figure of a study: CSV, SVG and PNG, and a report",
     "  softless plot paper/fig2-l49\n"
     "  softless plot paper/fig2-l49 paper/fig2-l196 --out figures   # a panel each\n"
     "  softless plot paper/fig2-l49 --report\n",
     NULL, cli_plot},
    {"bench", "attention | train RECIPE | infer RECIPE | phases RECIPE",
     "speed against the peak of the same run, and where the time of a step goes",
     "  softless bench attention --phi relu,softmax --len 49,196,784 --pass fwd,fwd+bwd\n"
     "  softless bench train vit-s16-bench --steps 10\n"
     "  softless bench infer vit-s16-bench --batch 1\n"
     "  softless bench phases vit-s16-bench\n"
     "  softless bench phases paper/vit_i1k --set data.train=photos/ --set train.accumulate=1 \\\n"
     "      --shape \"model.variant=S/16 train.batch=16\" \\\n"
     "      --shape \"model.variant=S/8 train.batch=4\" --out cost\n",
     "attention train infer phases", cli_bench},
    {"data", "info|index SPEC, pack SPEC FOLDER",
     "what a data set holds; tar shards and their index",
     "  softless data info fashion-mnist:train            # classes, counts, sizes, bad files\n"
     "  softless data info photos/ --format json\n"
     "  softless data info 'imagenet/train-{0000..1023}.tar'\n"
     "  softless data pack photos/ shards/ --shard-images 500   # photos/ as tar shards\n"
     "  softless data pack --in-order wds:old/ shards/              # .tar.gz, .xz, .zst as plain "
     "shards\n"
     "  softless data index 'imagenet/train-{0000..1023}.tar'   # opens at once from now on\n"
     "\n"
     "SPEC: fashion-mnist:train|test, mnist:..., cifar10:..., cifar100:..., or with a folder\n"
     "mnist:DIR:train; idx:DIR:train|test or idx:IMAGES,LABELS; a folder of class folders with "
     "JPEG\n"
     "and PNG files; tar shards DIR/shard-{000000..000127}.tar or wds:DIR;\n"
     "synthetic:n=1000,classes=10,size=32,seed=0. [:5000] behind it keeps the first 5000.\n",
     "info index pack", cli_data},
};
const size_t cli_n_verbs = sizeof cli_verbs / sizeof cli_verbs[0];

static int print_usage(void)
{
    printf("softless - Vision Transformers with and without softmax\n\n"
           "Usage: softless VERB ... ; 'softless VERB --help' shows examples and options\n\n");
    for (size_t i = 0; i < cli_n_verbs; i++)
        printf("  %-8s %s\n", cli_verbs[i].name, cli_verbs[i].summary);
    printf("\n  softless --version                        version, libraries, instruction set\n"
           "  softless help --man DIR                   manual pages, written there\n"
           "  softless help --completion bash|zsh|fish  a script for that shell\n");
    return cli_finish(SL_OK);
}

static const struct cli_verb *find_verb(const char *name)
{
    for (size_t i = 0; i < cli_n_verbs; i++)
        if (strcmp(cli_verbs[i].name, name) == 0)
            return &cli_verbs[i];
    return NULL;
}

static int unknown_verb(const char *word)
{
    const char *names[16];
    for (size_t i = 0; i < cli_n_verbs; i++)
        names[i] = cli_verbs[i].name;
    const char *near = sl_nearest(word, names, cli_n_verbs);
    return cli_finish(cli_usage("unknown verb '%s'%s%s%s; see 'softless --help'", word,
                                near ? ", did you mean '" : "", near ? near : "",
                                near ? "'?" : ""));
}

/* softless help --man DIR | --completion SHELL */
static int print_manual(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[2], "--man") == 0)
        return cli_finish(cli_manual(argv[3]));
    if (argc == 4 && strcmp(argv[2], "--completion") == 0)
        return cli_finish(cli_completion(argv[3]));
    return cli_finish(cli_usage("usage: softless help VERB, help --man DIR, or help --completion "
                                "bash|zsh|fish"));
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (argc < 2)
        return cli_finish(cli_usage("no verb given; see 'softless --help'"));
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
        (strcmp(word, "help") == 0 && argc == 2))
        return print_usage();
    if (strcmp(word, "--version") == 0 || strcmp(word, "-v") == 0) {
        printf("%s", sl_build_info());
        return cli_finish(SL_OK);
    }
    const bool help_verb = strcmp(word, "help") == 0;
    if (help_verb && argv[2][0] == '-')
        return print_manual(argc, argv);
    static char help[] = "--help";
    char *help_argv[] = {argv[0], help, NULL};
    const struct cli_verb *verb = find_verb(help_verb ? argv[2] : word);
    if (!verb)
        return unknown_verb(help_verb ? argv[2] : word);
    return help_verb ? verb->run(verb, 2, help_argv) : verb->run(verb, argc - 1, argv + 1);
}
