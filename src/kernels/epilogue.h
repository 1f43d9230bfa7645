/*
 * What happens to a matrix product's result while its tile is still in cache. Shared by the
 * operand structs (ops/ops.h) and the CPU kernels, so that both name the same thing.
 */
#ifndef SL_KERNELS_EPILOGUE_H
#define SL_KERNELS_EPILOGUE_H

/* r = product + bias. */
enum sl_epilogue {
    SL_EPI_NONE,     /* c = r */
    SL_EPI_RESIDUAL, /* c = r + aux          (c float; aux float [m, n], may be c itself) */
    SL_EPI_GELU,     /* aux = r, c = gelu(r) (aux of c's type [m, n]; the pre-activation;
                      * NULL where no backward pass asks for it) */
    SL_EPI_GELU_BWD, /* c = r * gelu'(aux)   (aux of c's type [m, n]) */
    SL_EPI_TANH      /* c = tanh(r) */
};

#endif
