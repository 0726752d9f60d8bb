/* The loops of `indexes/kernels.py`, where what NumPy costs a call would be half of a search's time.

   Each function takes contiguous arrays through the buffer protocol and writes into the last ones; shapes and types are
   checked by the caller in Python, sizes once more here. `kernels.py` says what each computes. */

#include "_arrays.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The places of the `wanted` best of n scores into `best`, best first; returns how many there were with a count above 0. */
static Py_ssize_t largest(const float *scores, const float *counts, Py_ssize_t n, Py_ssize_t wanted, int64_t *best) {
    Py_ssize_t held = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (counts[i] <= 0 || (held == wanted && scores[i] <= scores[best[held - 1]])) continue;
        Py_ssize_t place = held < wanted ? held++ : held - 1;
        for (; place > 0 && scores[best[place - 1]] < scores[i]; place--) best[place] = best[place - 1];
        best[place] = i;
    }
    for (Py_ssize_t i = held; i < wanted; i++) best[i] = -1;
    return held;
}

/* nearest_lists(scores, counts, lists, n_queries, n_lists, wanted) -> the fewest rows that one query's lists hold */
static PyObject *nearest_lists(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Py_ssize_t size[3];
    if (!counted(given, 6) || integers(args + 3, 3, size)) return NULL;
    Py_ssize_t n = size[0], n_lists = size[1], wanted = size[2];
    Arrays a;
    if (wanted < 1) return PyFloat_FromDouble(0);
    if (borrow(&a, args, 3, 2, (Py_ssize_t[]){4, 4, 8}, (Py_ssize_t[]){n * n_lists, n_lists, n * wanted})) return NULL;
    const float *scores = a.of[0].buf, *counts = a.of[1].buf;
    int64_t *lists = a.of[2].buf;
    double fewest = INFINITY;
    for (Py_ssize_t query = 0; query < n; query++) {
        double rows = 0;
        Py_ssize_t held = largest(scores + query * n_lists, counts, n_lists, wanted, lists + query * wanted);
        for (Py_ssize_t i = 0; i < held; i++) rows += counts[lists[query * wanted + i]];
        if (rows < fewest) fewest = rows;
    }
    release(&a);
    return PyFloat_FromDouble(fewest);
}

/* rows_beyond(scores, counts, spread, share, kth, first, expected, n_queries, n_lists, n_first, n_share, steps) */
static PyObject *rows_beyond(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Py_ssize_t size[4];
    if (!counted(given, 12) || integers(args + 7, 4, size)) return NULL;
    double steps = PyFloat_AsDouble(args[11]);
    if (steps == -1 && PyErr_Occurred()) return NULL;
    Py_ssize_t n = size[0], n_lists = size[1], n_first = size[2], n_share = size[3];
    Arrays a;
    if (borrow(&a, args, 7, 6, (Py_ssize_t[]){4, 4, 4, 4, 4, 8, 8},
               (Py_ssize_t[]){n * n_lists, n_lists, n_lists, n_share, n, n * n_first, n}))
        return NULL;
    const float *scores = a.of[0].buf, *counts = a.of[1].buf, *spread = a.of[2].buf, *share = a.of[3].buf, *kth = a.of[4].buf;
    const int64_t *first = a.of[5].buf;
    double *expected = a.of[6].buf;
    for (Py_ssize_t query = 0; query < n; query++) {
        double beyond = 0;
        for (int visited = 0; visited < 2; visited++) { /* all lists, less those that were visited */
            Py_ssize_t lists = visited ? n_first : n_lists;
            for (Py_ssize_t i = 0; i < lists; i++) {
                int64_t list = visited ? first[query * n_first + i] : i;
                if (list < 0 || list >= n_lists || counts[list] <= 0) continue;
                float step = (kth[query] - scores[query * n_lists + list]) / spread[list] * (float)steps;
                double rows = (double)counts[list] * share[step <= 0 ? 0 : step < n_share - 1 ? (Py_ssize_t)step : n_share - 1];
                beyond += visited ? -rows : rows;
            }
        }
        expected[query] = beyond;
    }
    release(&a);
    Py_RETURN_NONE;
}

static int before(float score, int32_t row, float other_score, int32_t other_row) {
    return score > other_score || (score == other_score && row < other_row);
}

/* best_of(exact, estimates, positions, row_of, places, errors, n_queries, wanted, n_rows, top_k) */
static PyObject *best_of(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Py_ssize_t size[4];
    if (!counted(given, 10) || integers(args + 6, 4, size)) return NULL;
    Py_ssize_t n = size[0], wanted = size[1], n_rows = size[2], top_k = size[3];
    Arrays a;
    if (borrow(&a, args, 6, 4, (Py_ssize_t[]){4, 4, 8, 4, 8, 8}, (Py_ssize_t[]){n * wanted, n * wanted, n * wanted, n_rows, n * top_k, n * 3}))
        return NULL;
    const int32_t *row_of = a.of[3].buf;
    for (Py_ssize_t query = 0; query < n; query++) {
        const float *exact = (const float *)a.of[0].buf + query * wanted, *estimates = (const float *)a.of[1].buf + query * wanted;
        const int64_t *positions = (const int64_t *)a.of[2].buf + query * wanted;
        int64_t *places = (int64_t *)a.of[4].buf + query * top_k;
        double *errors = (double *)a.of[5].buf + query * 3;
        double tail = 0, all = 0, squares = 0;
        Py_ssize_t held = 0;
        for (Py_ssize_t i = 0; i < wanted; i++) {
            if (positions[i] < 0 || positions[i] >= n_rows) continue;
            double off = (double)exact[i] - estimates[i];
            all += off;
            squares += off * off;
            if (i >= wanted / 2) tail += off;
            int32_t row = row_of[positions[i]];
            if (held == top_k) {
                int64_t last = places[held - 1];
                if (!before(exact[i], row, exact[last], row_of[positions[last]])) continue;
            }
            Py_ssize_t low = 0, high = held; /* the first place that this row comes before */
            while (low < high) {
                Py_ssize_t middle = (low + high) / 2;
                if (before(exact[i], row, exact[places[middle]], row_of[positions[places[middle]]])) high = middle;
                else low = middle + 1;
            }
            if (held < top_k) held++;
            memmove(places + low + 1, places + low, (size_t)(held - 1 - low) * sizeof *places);
            places[low] = i;
        }
        for (Py_ssize_t i = held; i < top_k; i++) places[i] = wanted - 1;
        errors[0] = tail / (wanted - wanted / 2);
        errors[1] = all / wanted;
        errors[2] = squares / wanted;
    }
    release(&a);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"nearest_lists", (PyCFunction)(void (*)(void))nearest_lists, METH_FASTCALL, NULL},
    {"rows_beyond", (PyCFunction)(void (*)(void))rows_beyond, METH_FASTCALL, NULL},
    {"best_of", (PyCFunction)(void (*)(void))best_of, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_kernels", NULL, 0, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModule_Create(&module); }
