// What the C interfaces of all kernels share.
#ifndef TILEFIX_INTERFACE_H_
#define TILEFIX_INTERFACE_H_

#include <stddef.h>
#include <stdint.h>

#define TILEFIX_API __attribute__((visibility("default")))  // all else is hidden

enum {  // what a launch function answers besides a cudaError_t
    TILEFIX_BAD_SIZE = -1,       // a size out of range
    TILEFIX_BAD_POINTER = -2,    // a null pointer where there must be one
    TILEFIX_OTHER_VERSION = -3,  // struct_bytes is not the struct's size
};

#endif
