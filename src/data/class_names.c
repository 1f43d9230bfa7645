/*
 * The published sets softless knows by name: folder, Debian package, and class names in label
 * order.
 */
#include "data/format.h"

static const char *const fashion_names[] = {
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot",
};
static const char *const digit_names[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
static const char *const cifar10_names[] = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
};
static const char *const cifar100_names[] = {
    "apple",       "aquarium_fish", "baby",      "bear",       "beaver",       "bed",
    "bee",         "beetle",        "bicycle",   "bottle",     "bowl",         "boy",
    "bridge",      "bus",           "butterfly", "camel",      "can",          "castle",
    "caterpillar", "cattle",        "chair",     "chimpanzee", "clock",        "cloud",
    "cockroach",   "couch",         "crab",      "crocodile",  "cup",          "dinosaur",
    "dolphin",     "elephant",      "flatfish",  "forest",     "fox",          "girl",
    "hamster",     "house",         "kangaroo",  "keyboard",   "lamp",         "lawn_mower",
    "leopard",     "lion",          "lizard",    "lobster",    "man",          "maple_tree",
    "motorcycle",  "mountain",      "mouse",     "mushroom",   "oak_tree",     "orange",
    "orchid",      "otter",         "palm_tree", "pear",       "pickup_truck", "pine_tree",
    "plain",       "plate",         "poppy",     "porcupine",  "possum",       "rabbit",
    "raccoon",     "ray",           "road",      "rocket",     "rose",         "sea",
    "seal",        "shark",         "shrew",     "skunk",      "skyscraper",   "snail",
    "snake",       "spider",        "squirrel",  "streetcar",  "sunflower",    "sweet_pepper",
    "table",       "tank",          "telephone", "television", "tiger",        "tractor",
    "train",       "trout",         "tulip",     "turtle",     "wardrobe",     "whale",
    "willow_tree", "wolf",          "woman",     "worm",
};
_Static_assert(sizeof cifar100_names / sizeof *cifar100_names == 100, "CIFAR-100 has 100 classes");

const struct sl_known_set sl_fashion_mnist = {
    .folder = "fashion-mnist",
    .package = "dataset-fashion-mnist",
    .classes = 10,
    .class_names = fashion_names,
};
const struct sl_known_set sl_mnist = {
    .folder = "mnist",
    .classes = 10,
    .class_names = digit_names,
};
const struct sl_known_set sl_cifar10 = {
    .folder = "cifar-10-batches-bin",
    .classes = 10,
    .class_names = cifar10_names,
};
const struct sl_known_set sl_cifar100 = {
    .folder = "cifar-100-binary",
    .classes = 100,
    .class_names = cifar100_names,
};
