#include <tvm/ffi/tvm_ffi.h>

static int64_t version() { return 1; }
TVM_FFI_DLL_EXPORT_TYPED_FUNC(version, version);
