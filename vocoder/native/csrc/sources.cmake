# Sources of the sample loop without its Python module, and the flags of each instruction set.
set(csrc ${CMAKE_CURRENT_LIST_DIR})
set(VOCODER_SOURCES
  ${csrc}/band_synthesis.cpp ${csrc}/blocks.cpp ${csrc}/build.cpp ${csrc}/contrast.cpp
  ${csrc}/correction_chain.cpp
  ${csrc}/instruction_sets.cpp ${csrc}/isa_baseline.cpp ${csrc}/packing.cpp ${csrc}/stack.cpp
  ${csrc}/tables.cpp)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  list(APPEND VOCODER_SOURCES
    ${csrc}/isa_avx2.cpp ${csrc}/isa_avx512.cpp ${csrc}/isa_avx512_dot.cpp ${csrc}/isa_amx.cpp)
  set(avx2 -mavx2 -mfma -mprfchw)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl)
  set(avx512_dot ${avx512} -mavx512bf16 -mavx512vnni)
  set(amx ${avx512_dot} -mamx-tile -mamx-bf16 -mamx-int8)
  foreach(isa avx2 avx512 avx512_dot amx)
    set_source_files_properties(${csrc}/isa_${isa}.cpp PROPERTIES COMPILE_OPTIONS "${${isa}}")
  endforeach()
endif()
