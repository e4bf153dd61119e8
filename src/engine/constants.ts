// The numbers of WebGPU's flag sets, fixed by its specification: browsers have them as globals, Node has not, and we set none.

export const BUFFER_USAGE = {
  mapRead: 0x0001,
  mapWrite: 0x0002,
  copySrc: 0x0004,
  copyDst: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
  indirect: 0x0100,
  queryResolve: 0x0200,
} as const;

export const MAP_MODE = { read: 0x0001, write: 0x0002 } as const;

export const SHADER_STAGE = { compute: 0x0004 } as const;
