/*
 * The point-wise h of phi = L^-alpha h, one row each; included wherever a table or a dispatch over
 * them is made (phi.c, phi.inc). No include guard: define the row macros you want first.
 *
 * SL_PHI_CLAMP(id, name, degree, at_zero, lo, hi): h(s) = min(max(s, lo), hi), h' = [lo < s < hi]
 *     (0 at the kinks); kernels apply it in registers and need no function.
 * SL_PHI_MAP(id, name, degree, at_zero, function): any other h; `function` in phi.inc gives h and
 *     h' of a vector.
 *
 * degree: h(c s) = c^degree h(s) for c > 0, 0 = not homogeneous. at_zero: h(0). Formulas: MODEL.md.
 */
#ifndef SL_PHI_CLAMP
#define SL_PHI_CLAMP(id, name, degree, at_zero, lo, hi)
#endif
#ifndef SL_PHI_MAP
#define SL_PHI_MAP(id, name, degree, at_zero, function)
#endif

SL_PHI_CLAMP(SL_PHI_RELU, "relu", 1, 0.0, 0.0f, INFINITY)
SL_PHI_MAP(SL_PHI_RELU2, "relu2", 2, 0.0, phi_relu2)
SL_PHI_MAP(SL_PHI_GELU, "gelu", 0, 0.0, phi_gelu)
SL_PHI_MAP(SL_PHI_SOFTPLUS, "softplus", 0, 0.69314718055994531, phi_softplus)
SL_PHI_CLAMP(SL_PHI_IDENTITY, "identity", 1, 0.0, -INFINITY, INFINITY)
SL_PHI_CLAMP(SL_PHI_RELU6, "relu6", 0, 0.0, 0.0f, 6.0f)
SL_PHI_MAP(SL_PHI_SIGMOID, "sigmoid", 0, 0.5, phi_sigmoid)
SL_PHI_MAP(SL_PHI_SILU, "silu", 0, 0.0, phi_silu)

#undef SL_PHI_CLAMP
#undef SL_PHI_MAP
