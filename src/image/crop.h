/*
 * Rectangles of random crops.
 */
#ifndef SL_IMAGE_CROP_H
#define SL_IMAGE_CROP_H

#include "base/rng.h"
#include "image/image.h"

/* TensorFlow's sample_distorted_bounding_box: aspect w/h in [0.75, 1.33), share of the area between
 * min_area and max_area. */
struct sl_rectangle sl_crop_inception(size_t h, size_t w, double min_area, double max_area,
                                      sl_rng *rng);
/* torchvision's RandomResizedCrop: area uniform, aspect log-uniform in 3/4 .. 4/3. */
struct sl_rectangle sl_crop_torchvision(size_t h, size_t w, double min_area, double max_area,
                                        sl_rng *rng);

#endif
