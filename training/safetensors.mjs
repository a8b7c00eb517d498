// Writing safetensors: 8 bytes of header length, a JSON header, the tensors' bytes.
import fs from 'node:fs';

const DTYPES = new Map([
  [Float32Array, 'F32'],
  [Int8Array, 'I8'],
  [Uint8Array, 'U8'],
  [Int32Array, 'I32'],
]);

/** @param tensors  { name: { shape, data: typed array } }, written in the order given */
export function writeSafetensors(file, tensors, metadata = {}) {
  const header = Object.keys(metadata).length > 0 ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    const count = shape.reduce((product, size) => product * size, 1);
    if (count !== data.length) throw new Error(`${name}: shape ${shape} does not hold ${data.length} values`);
    header[name] = {
      dtype: DTYPES.get(data.constructor),
      shape,
      data_offsets: [offset, offset + data.byteLength],
    };
    offset += data.byteLength;
  }
  let json = JSON.stringify(header);
  json += ' '.repeat((8 - (Buffer.byteLength(json) % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(json)));
  const parts = Object.values(tensors).map(({ data }) =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength),
  );
  fs.writeFileSync(`${file}.part`, Buffer.concat([length, Buffer.from(json), ...parts]));
  fs.renameSync(`${file}.part`, file);
}
