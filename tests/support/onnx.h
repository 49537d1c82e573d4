// ONNX Runtime, where the tests may use it: the Python KDEF_ONNX_PYTHON.
#pragma once

#include <cstdlib>
#include <string>

namespace kdef::test {

/// Why models cannot be scored by ONNX Runtime here; empty where they can.
inline std::string no_onnxruntime() {
  if (std::system("'" KDEF_ONNX_PYTHON "' -c 'import numpy, onnx, onnxruntime' >/dev/null 2>&1") == 0) return "";
  return KDEF_ONNX_PYTHON " has not the packages numpy, onnx and onnxruntime; ./dev check onnx installs them";
}

}  // namespace kdef::test
