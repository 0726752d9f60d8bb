/* The loops of `indexes/memory_kernels.py`: products of vectors and the choice of the best rows, on one thread, so that they wait for no other
   (a query's embedding a moment ago leaves BLAS's threads and ours fighting for the cores).

   Arrays travel as in `_kernels.c`. The loops over vectors are compiled twice, once for AVX2, and chosen when the module is loaded. */

#include "_arrays.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 32
#define DIM 384 /* of the default embedder, and of its codes: loops of a known length are faster */
#define CODE_DIM 96
#define AHEAD 32 /* rows of codes that are on their way from memory; the processor by itself stops at each page's end */

typedef struct {
    float score;
    int32_t row;
} Scored;

/* The best rows so far: up to twice as many as are wanted, cut back whenever they are too many. */
typedef struct {
    Scored *held;
    Py_ssize_t n, wanted;
    float least; /* what a row must beat: rows come in ascending order, so that of equals the first stay */
} Best;

static int begin(Best *best, Py_ssize_t wanted) {
    if (wanted < 1) {
        PyErr_SetString(PyExc_ValueError, "no row is wanted");
        return -1;
    }
    *best = (Best){PyMem_Malloc((size_t)(2 * wanted) * sizeof(Scored)), 0, wanted, -INFINITY};
    if (best->held == NULL) PyErr_NoMemory();
    return best->held == NULL ? -1 : 0;
}

static int beats(Scored a, Scored b) { return a.score > b.score || (a.score == b.score && a.row < b.row); }

/* Put the `wanted` best first, in any order (quickselect). */
static void cut_back(Best *best) {
    Scored *held = best->held;
    Py_ssize_t low = 0, high = best->n - 1, wanted = best->wanted;
    while (low < high) {
        Scored pivot = held[low + (high - low) / 2];
        Py_ssize_t i = low, j = high;
        while (i <= j) {
            while (beats(held[i], pivot)) i++;
            while (beats(pivot, held[j])) j--;
            if (i <= j) {
                Scored moved = held[i];
                held[i++] = held[j];
                held[j--] = moved;
            }
        }
        if (wanted - 1 <= j) high = j;
        else if (wanted - 1 >= i) low = i;
        else break;
    }
    best->n = wanted;
    best->least = INFINITY;
    for (Py_ssize_t i = 0; i < wanted; i++)
        if (held[i].score < best->least) best->least = held[i].score;
}

static inline void offer(Best *best, float score, Py_ssize_t row) {
    if (!(score > best->least)) return;
    best->held[best->n++] = (Scored){score, (int32_t)row};
    if (best->n == 2 * best->wanted) cut_back(best);
}

/* Write the best rows out and let go; returns how many there are. */
static PyObject *finish(Best *best, int64_t *rows) {
    if (best->n > best->wanted) cut_back(best);
    for (Py_ssize_t i = 0; i < best->n; i++) rows[i] = best->held[i].row;
    PyMem_Free(best->held);
    return PyLong_FromSsize_t(best->n);
}

/* -- loops over vectors, each in two forms ------------------------------------------------------------------------------ */

#if defined(__x86_64__) && defined(__GNUC__)
#define TWICE 1
#define GENERIC static inline __attribute__((always_inline))
#define WIDE __attribute__((target("avx2,fma")))
static int wide = 0;
#else
#define TWICE 0
#define GENERIC static inline
#endif

GENERIC float product(const float *a, const float *b, Py_ssize_t dim) {
    float lanes[LANES] = {0}, sum = 0;
    Py_ssize_t i = 0;
    for (; i + LANES <= dim; i += LANES)
        for (int lane = 0; lane < LANES; lane++) lanes[lane] += a[i + lane] * b[i + lane];
    for (; i < dim; i++) sum += a[i] * b[i];
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
    return sum + lanes[0];
}

GENERIC int32_t coarse_product(const int8_t *code, const int16_t *query, Py_ssize_t dim) {
    int32_t sum = 0;
    for (Py_ssize_t i = 0; i < dim; i++) sum += (int16_t)code[i] * query[i];
    return sum;
}

#if defined(__GNUC__)
#define FETCH(address) __builtin_prefetch(address)
#else
#define FETCH(address) (void)(address)
#endif

/* Have the row after the i-th on its way from memory while the i-th is scored: rows lie anywhere. */
GENERIC void fetch_next(const float *rows, const int64_t *places, Py_ssize_t i, Py_ssize_t m, Py_ssize_t dim) {
    if (i + 1 < m)
        for (Py_ssize_t at = 0; at < dim; at += 16) FETCH(rows + places[i + 1] * dim + at);
}

GENERIC void score_rows(const float *rows, const float *query, const int64_t *places, float *scores, Py_ssize_t m, Py_ssize_t dim) {
    for (Py_ssize_t i = 0; i < m; i++) {
        fetch_next(rows, places, i, m, dim);
        scores[i] = product(rows + places[i] * dim, query, dim);
    }
}

GENERIC void choose_rows(Best *best, const float *rows, const float *query, const int64_t *places, Py_ssize_t m, Py_ssize_t dim) {
    for (Py_ssize_t i = 0; i < m; i++) {
        fetch_next(rows, places, i, m, dim);
        offer(best, product(rows + places[i] * dim, query, dim), places[i]);
    }
}

GENERIC void choose_codes(Best *best, const int8_t *codes, const int16_t *query, const uint8_t *shown, Py_ssize_t n, Py_ssize_t dim) {
    for (Py_ssize_t row = 0; row < n; row++) {
        FETCH(codes + (row + AHEAD) * dim);
        if (shown[row]) offer(best, (float)coarse_product(codes + row * dim, query, dim), row);
    }
}

#if TWICE
WIDE static void score_rows_wide(const float *rows, const float *query, const int64_t *places, float *scores, Py_ssize_t m, Py_ssize_t dim) {
    if (dim == DIM) score_rows(rows, query, places, scores, m, DIM);
    else score_rows(rows, query, places, scores, m, dim);
}
WIDE static void choose_rows_wide(Best *best, const float *rows, const float *query, const int64_t *places, Py_ssize_t m, Py_ssize_t dim) {
    if (dim == DIM) choose_rows(best, rows, query, places, m, DIM);
    else choose_rows(best, rows, query, places, m, dim);
}
WIDE static void choose_codes_wide(Best *best, const int8_t *codes, const int16_t *query, const uint8_t *shown, Py_ssize_t n, Py_ssize_t dim) {
    if (dim == CODE_DIM) choose_codes(best, codes, query, shown, n, CODE_DIM);
    else choose_codes(best, codes, query, shown, n, dim);
}
#define RUN(loop, ...) (wide ? loop##_wide(__VA_ARGS__) : loop(__VA_ARGS__))
#else
#define RUN(loop, ...) loop(__VA_ARGS__)
#endif

static int inside(const int64_t *places, Py_ssize_t m, Py_ssize_t n) {
    for (Py_ssize_t i = 0; i < m; i++)
        if (places[i] < 0 || places[i] >= n) {
            PyErr_Format(PyExc_IndexError, "row %zd of %zd", (Py_ssize_t)places[i], n);
            return 0;
        }
    return 1;
}

/* cosines(rows, query, places, scores, n, dim, m) */
static PyObject *cosines(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Py_ssize_t size[3];
    if (!counted(given, 7) || integers(args + 4, 3, size)) return NULL;
    Py_ssize_t n = size[0], dim = size[1], m = size[2];
    Arrays a;
    if (borrow(&a, args, 4, 3, (Py_ssize_t[]){4, 4, 8, 4}, (Py_ssize_t[]){n * dim, dim, m, m})) return NULL;
    int fits = inside(a.of[2].buf, m, n);
    if (fits) RUN(score_rows, a.of[0].buf, a.of[1].buf, a.of[2].buf, a.of[3].buf, m, dim);
    release(&a);
    if (!fits) return NULL;
    Py_RETURN_NONE;
}

/* nearest_rows(rows, query, places, best, n, dim, m, wanted) -> how many */
static PyObject *nearest_rows(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Py_ssize_t size[4];
    if (!counted(given, 8) || integers(args + 4, 4, size)) return NULL;
    Py_ssize_t n = size[0], dim = size[1], m = size[2], wanted = size[3];
    Arrays a;
    Best best;
    if (borrow(&a, args, 4, 3, (Py_ssize_t[]){4, 4, 8, 8}, (Py_ssize_t[]){n * dim, dim, m, wanted})) return NULL;
    PyObject *found = NULL;
    if (inside(a.of[2].buf, m, n) && begin(&best, wanted) == 0) {
        RUN(choose_rows, &best, a.of[0].buf, a.of[1].buf, a.of[2].buf, m, dim);
        found = finish(&best, a.of[3].buf);
    }
    release(&a);
    return found;
}

/* nearest_codes(codes, query, shown, best, n, dim, wanted) -> how many */
static PyObject *nearest_codes(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Py_ssize_t size[3];
    if (!counted(given, 7) || integers(args + 4, 3, size)) return NULL;
    Py_ssize_t n = size[0], dim = size[1], wanted = size[2];
    Arrays a;
    Best best;
    if (borrow(&a, args, 4, 3, (Py_ssize_t[]){1, 2, 1, 8}, (Py_ssize_t[]){n * dim, dim, n, wanted})) return NULL;
    PyObject *found = NULL;
    if (begin(&best, wanted) == 0) {
        RUN(choose_codes, &best, a.of[0].buf, a.of[1].buf, a.of[2].buf, n, dim);
        found = finish(&best, a.of[3].buf);
    }
    release(&a);
    return found;
}

static int ascending(const void *a, const void *b) {
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

/* with_neighbours(rows, before, after, shown, found, m, n, around) -> how many; `found` has room for m * (1 + 2 * around) */
static PyObject *with_neighbours(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Py_ssize_t size[3];
    if (!counted(given, 8) || integers(args + 5, 3, size)) return NULL;
    Py_ssize_t m = size[0], n = size[1], around = size[2];
    Arrays a;
    if (borrow(&a, args, 5, 4, (Py_ssize_t[]){8, 4, 4, 1, 8}, (Py_ssize_t[]){m, n, n, n, m * (1 + 2 * around)})) return NULL;
    if (!inside(a.of[0].buf, m, n)) {
        release(&a);
        return NULL;
    }
    const int64_t *rows = a.of[0].buf;
    const uint8_t *shown = a.of[3].buf;
    int64_t *found = a.of[4].buf;
    Py_ssize_t held = 0, kept = 0;
    for (Py_ssize_t i = 0; i < m; i++) {
        found[held++] = rows[i];
        for (int side = 1; side <= 2; side++) {
            const int32_t *next = a.of[side].buf;
            int64_t row = rows[i];
            for (Py_ssize_t step = 0; step < around && next[row] >= 0 && next[row] < n; step++) found[held++] = row = next[row];
        }
    }
    qsort(found, (size_t)held, sizeof *found, ascending);
    for (Py_ssize_t i = 0; i < held; i++)
        if (shown[found[i]] && (kept == 0 || found[kept - 1] != found[i])) found[kept++] = found[i];
    release(&a);
    return PyLong_FromSsize_t(kept);
}

/* -- words ---------------------------------------------------------------------------------------------------------------- */

/* add_weights(rows, shares, sums, marks, factor, m, n, mark): sums[row] += factor * share, and marks[row] where `mark` is 1 */
static PyObject *add_weights(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Py_ssize_t size[3];
    if (!counted(given, 8) || integers(args + 5, 3, size)) return NULL;
    float factor = (float)PyFloat_AsDouble(args[4]);
    if (PyErr_Occurred()) return NULL;
    Py_ssize_t m = size[0], n = size[1];
    Arrays a;
    if (borrow(&a, args, 4, 2, (Py_ssize_t[]){4, 4, 4, 1}, (Py_ssize_t[]){m, m, n, n})) return NULL;
    const int32_t *rows = a.of[0].buf;
    const float *shares = a.of[1].buf;
    float *sums = a.of[2].buf;
    uint8_t *marks = a.of[3].buf;
    Py_ssize_t i = 0;
    for (; i < m && rows[i] >= 0 && rows[i] < n; i++) {
        sums[rows[i]] += factor * shares[i];
        marks[rows[i]] |= (uint8_t)size[2];
    }
    if (i < m) PyErr_Format(PyExc_IndexError, "row %zd of %zd", (Py_ssize_t)rows[i], n);
    release(&a);
    if (i < m) return NULL;
    Py_RETURN_NONE;
}

/* best_marked(sums, marks, shown, best, n, wanted) -> how many */
static PyObject *best_marked(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Py_ssize_t size[2];
    if (!counted(given, 6) || integers(args + 4, 2, size)) return NULL;
    Py_ssize_t n = size[0], wanted = size[1];
    Arrays a;
    Best best;
    if (borrow(&a, args, 4, 3, (Py_ssize_t[]){4, 1, 1, 8}, (Py_ssize_t[]){n, n, n, wanted})) return NULL;
    PyObject *found = NULL;
    if (begin(&best, wanted) == 0) {
        const float *sums = a.of[0].buf;
        const uint8_t *marks = a.of[1].buf, *shown = a.of[2].buf;
        uint64_t eight;
        for (Py_ssize_t row = 0; row < n; row++) {
            if (row % 8 == 0)
                while (row + 8 <= n && (memcpy(&eight, marks + row, 8), eight == 0)) row += 8; /* few are marked */
            if (row < n && marks[row] & shown[row]) offer(&best, sums[row], row);
        }
        found = finish(&best, a.of[3].buf);
    }
    release(&a);
    return found;
}

/* weights_at(rows, shares, wanted, weights, factor, m, k): factor * share of each wanted row, 0 where it is not among the rows */
static PyObject *weights_at(PyObject *self, PyObject *const *args, Py_ssize_t given) {
    Py_ssize_t size[2];
    if (!counted(given, 7) || integers(args + 5, 2, size)) return NULL;
    float factor = (float)PyFloat_AsDouble(args[4]);
    if (PyErr_Occurred()) return NULL;
    Py_ssize_t m = size[0], k = size[1];
    Arrays a;
    if (borrow(&a, args, 4, 3, (Py_ssize_t[]){4, 4, 8, 4}, (Py_ssize_t[]){m, m, k, k})) return NULL;
    const int32_t *rows = a.of[0].buf;
    const float *shares = a.of[1].buf;
    const int64_t *wanted = a.of[2].buf;
    float *weights = a.of[3].buf;
    Py_ssize_t low = 0;
    for (Py_ssize_t i = 0; i < k; i++) {
        if (i > 0 && wanted[i] < wanted[i - 1]) low = 0;
        Py_ssize_t step = 1, high = low;
        for (; high < m && rows[high] < wanted[i]; step *= 2) {
            low = high + 1;
            high += step;
        }
        if (high > m) high = m;
        while (low < high) {
            Py_ssize_t middle = (low + high) / 2;
            if (rows[middle] < wanted[i]) low = middle + 1;
            else high = middle;
        }
        weights[i] = low < m && rows[low] == wanted[i] ? factor * shares[low] : 0;
    }
    release(&a);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"cosines", (PyCFunction)(void (*)(void))cosines, METH_FASTCALL, NULL},
    {"nearest_rows", (PyCFunction)(void (*)(void))nearest_rows, METH_FASTCALL, NULL},
    {"nearest_codes", (PyCFunction)(void (*)(void))nearest_codes, METH_FASTCALL, NULL},
    {"with_neighbours", (PyCFunction)(void (*)(void))with_neighbours, METH_FASTCALL, NULL},
    {"add_weights", (PyCFunction)(void (*)(void))add_weights, METH_FASTCALL, NULL},
    {"best_marked", (PyCFunction)(void (*)(void))best_marked, METH_FASTCALL, NULL},
    {"weights_at", (PyCFunction)(void (*)(void))weights_at, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_memory_kernels", NULL, 0, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__memory_kernels(void) {
#if TWICE
    __builtin_cpu_init();
    wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return PyModule_Create(&module);
}
