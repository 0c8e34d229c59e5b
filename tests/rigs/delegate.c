/* An external TFLite delegate that runs the operators MEAN over height and width, or none.
 *
 * Only what it touches is declared; the layout is that of TFLite's core/c/common.h, whose fields are only added to at the
 * end. Options: "take" = "mean" (default) or "none", "refuse" = a message. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int size; int data[]; } IntArray;
typedef struct Context Context;
typedef struct Delegate Delegate;

typedef struct {
  int type;
  union { float* f; void* raw; } data;
  IntArray* dims;
  struct { float scale; int32_t zero_point; } params;
  int allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  Delegate* delegate;
  int buffer_handle;
  bool data_is_stale, is_variable;
  struct { int type; void* params; } quantization;
  void* sparsity;
  const IntArray* dims_signature;
} Tensor;

typedef struct {
  IntArray *inputs, *outputs;
} Node;

typedef struct {
  void* (*init)(Context*, const char*, size_t);
  void (*free)(Context*, void*);
  int (*prepare)(Context*, Node*);
  int (*invoke)(Context*, Node*);
  const char* (*profiling_string)(const Context*, const Node*);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* registration_external;
  void* async_kernel;
  uint64_t inplace_operator;
} Registration;

struct Context {
  size_t tensors_size;
  int (*GetExecutionPlan)(Context*, IntArray**);
  Tensor* tensors;
  void* impl;
  int (*ResizeTensor)(Context*, Tensor*, IntArray*);
  void (*ReportError)(Context*, const char*, ...);
  int (*AddTensors)(Context*, int, int*);
  int (*GetNodeAndRegistration)(Context*, int, Node**, Registration**);
  int (*ReplaceNodeSubsetsWithDelegateKernels)(Context*, Registration, const IntArray*, Delegate*);
};

struct Delegate {
  void* data;
  int (*Prepare)(Context*, Delegate*);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void* opaque;
};

enum { MEAN = 40 };

/* The one operator of a part: its input has four dimensions, its output is the mean of each channel. */
static int invoke(Context* context, Node* node) {
  Tensor* in = NULL;
  Tensor* out = &context->tensors[node->outputs->data[0]];
  for (int i = 0; i < node->inputs->size; ++i) {
    Tensor* tensor = &context->tensors[node->inputs->data[i]];
    if (tensor->dims->size == 4) in = tensor;
  }
  if (in == NULL) return 1;
  int pixels = in->dims->data[1] * in->dims->data[2], channels = in->dims->data[3];
  for (int c = 0; c < channels; ++c) {
    double sum = 0;
    for (int p = 0; p < pixels; ++p) sum += in->data.f[p * channels + c];
    out->data.f[c] = (float)(sum / pixels);
  }
  return 0;
}

static int prepare_graph(Context* context, Delegate* delegate) {
  IntArray* plan;
  if (context->GetExecutionPlan(context, &plan) != 0) return 1;
  IntArray* taken = malloc(sizeof(IntArray) + sizeof(int) * (size_t)plan->size);
  taken->size = 0;
  for (int i = 0; i < plan->size && delegate->data != NULL; ++i) {
    Node* node;
    Registration* registration;
    int index = plan->data[i];
    if (context->GetNodeAndRegistration(context, index, &node, &registration) != 0) return 1;
    if (registration->builtin_code == MEAN) taken->data[taken->size++] = index;
  }
  Registration kernel = {.invoke = invoke, .custom_name = "MeanDelegate", .version = 1};
  int status = context->ReplaceNodeSubsetsWithDelegateKernels(context, kernel, taken, delegate);
  free(taken);
  return status;
}

Delegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count, void (*report)(const char*)) {
  static int some;
  Delegate* delegate = calloc(1, sizeof(Delegate));
  delegate->Prepare = prepare_graph;
  delegate->data = &some;
  for (size_t i = 0; i < count; ++i) {
    if (strcmp(keys[i], "take") == 0 && strcmp(values[i], "none") == 0) delegate->data = NULL;
    if (strcmp(keys[i], "refuse") == 0) {
      report(values[i]);
      free(delegate);
      return NULL;
    }
  }
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate* delegate) { free(delegate); }
