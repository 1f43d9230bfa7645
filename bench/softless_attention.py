"""The attention operator of libsoftless.so by ctypes; the structures mirror include/softless.h."""
import ctypes
from ctypes import POINTER, Structure, c_bool, c_char_p, c_double, c_float, c_int, c_size_t, c_void_p

FLOAT, BF16 = 0, 1


class Strides(Structure):
    _fields_ = [("batch", c_size_t), ("token", c_size_t), ("head", c_size_t)]


class Options(Structure):
    _fields_ = [("threads", c_int), ("device", c_char_p), ("isa", c_char_p)]


class Attention(Structure):
    _fields_ = [("phi", c_int), ("alpha", c_float), ("scale", c_float), ("bias", c_float),
                ("bias_neg_log_length", c_bool), ("length", c_double), ("dtype", c_int),
                ("B", c_size_t), ("H", c_size_t), ("Lq", c_size_t), ("Lk", c_size_t), ("K", c_size_t),
                ("q", c_void_p), ("k", c_void_p), ("v", c_void_p),
                ("q_strides", Strides), ("k_strides", Strides), ("v_strides", Strides),
                ("key_mask", c_void_p)]


class Grads(Structure):
    _fields_ = [("d_o", c_void_p), ("o_strides", Strides),
                ("dq", c_void_p), ("dk", c_void_p), ("dv", c_void_p),
                ("dq_strides", Strides), ("dk_strides", Strides), ("dv_strides", Strides)]


class Library:
    def __init__(self, path, threads):
        self.lib = ctypes.CDLL(path)
        self.lib.sl_error_message.restype = c_char_p
        self.lib.sl_context_isa.restype = c_char_p
        self.lib.sl_attention_forward.argtypes = [c_void_p, POINTER(Attention), c_void_p, Strides]
        self.lib.sl_measure_peak.argtypes = [c_void_p, c_int, c_double, POINTER(c_double)]
        self.context = c_void_p()
        self._try(self.lib.sl_context_open(ctypes.byref(Options(threads)), ctypes.byref(self.context)))
        self.isa = self.lib.sl_context_isa(self.context).decode()

    def _try(self, status):
        if status != 0:
            raise RuntimeError(self.lib.sl_error_message().decode())

    def phi(self, name):
        phi = c_int()
        self._try(self.lib.sl_phi_parse(name.encode(), ctypes.byref(phi)))
        return phi.value

    def forward(self, attention, o, strides):
        self._try(self.lib.sl_attention_forward(self.context, ctypes.byref(attention), o, strides))

    def backward(self, attention, grads):
        self._try(self.lib.sl_attention_backward(self.context, ctypes.byref(attention),
                                                 ctypes.byref(grads)))

    def peak(self, dtype, seconds):
        """FLOP per second of the type; of float where it has no peak of its own."""
        flops = c_double()
        for t in (dtype, FLOAT):
            if self.lib.sl_measure_peak(self.context, t, seconds, ctypes.byref(flops)) == 0:
                return flops.value
        raise RuntimeError(self.lib.sl_error_message().decode())

    def close(self):
        self.lib.sl_context_close(ctypes.byref(self.context))
