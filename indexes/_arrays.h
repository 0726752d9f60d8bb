/* Arrays that Python lends to the compiled loops, through the buffer protocol. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define MOST_ARRAYS 8

typedef struct {
    Py_buffer of[MOST_ARRAYS];
    int n;
} Arrays;

static void release(Arrays *arrays) {
    while (arrays->n > 0) PyBuffer_Release(&arrays->of[--arrays->n]);
}

/* Borrow the first n arguments as arrays, those from `written` on writable; sizes in elements are compared with `sizes`. */
static int borrow(Arrays *arrays, PyObject *const *args, int n, int written, const Py_ssize_t *widths, const Py_ssize_t *sizes) {
    arrays->n = 0;
    for (int i = 0; i < n; i++) {
        if (PyObject_GetBuffer(args[i], &arrays->of[i], i < written ? PyBUF_C_CONTIGUOUS : PyBUF_CONTIG)) {
            release(arrays);
            return -1;
        }
        arrays->n++;
        if (arrays->of[i].len != widths[i] * sizes[i]) {
            PyErr_Format(PyExc_ValueError, "array %d has %zd bytes instead of %zd", i, arrays->of[i].len, widths[i] * sizes[i]);
            release(arrays);
            return -1;
        }
    }
    return 0;
}

static int integers(PyObject *const *args, int n, Py_ssize_t *values) {
    for (int i = 0; i < n; i++) {
        values[i] = PyLong_AsSsize_t(args[i]);
        if (values[i] == -1 && PyErr_Occurred()) return -1;
        if (values[i] < 0) {
            PyErr_SetString(PyExc_ValueError, "a size is negative");
            return -1;
        }
    }
    return 0;
}

static int counted(Py_ssize_t given, Py_ssize_t wanted) {
    if (given == wanted) return 1;
    PyErr_Format(PyExc_TypeError, "%zd arguments instead of %zd", given, wanted);
    return 0;
}
