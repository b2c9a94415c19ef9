// Writes ONNX files: the few fields of onnx.proto3 that a graph of convolutions needs.

const FLOAT = 1;
const utf8 = new TextEncoder();

function varint(value) {
  const bytes = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

function join(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const number = (field, value) => Uint8Array.from([...varint(field << 3), ...varint(value)]);
const block = (field, bytes) => join([Uint8Array.from([...varint((field << 3) | 2), ...varint(bytes.length)]), bytes]);
const text = (field, string) => block(field, utf8.encode(string));

function attribute(name, value) {
  if (typeof value === 'string') return join([text(1, name), text(4, value), number(20, 3)]);
  return join([text(1, name), ...value.map((i) => number(8, i)), number(20, 7)]);
}

/** A node of the default operator set; attributes are lists of integers or strings. */
export function node(type, inputs, outputs, attributes = {}) {
  return join([
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(3, outputs[0]),
    text(4, type),
    ...Object.entries(attributes).map(([name, value]) => block(5, attribute(name, value))),
  ]);
}

const initializer = ({ name, shape, values }) =>
  join([
    ...shape.map((d) => number(1, d)),
    number(2, FLOAT),
    text(8, name),
    block(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
  ]);

function valueInfo({ name, shape }) {
  const dims = join(shape.map((d) => block(1, number(1, d))));
  return join([text(1, name), block(2, block(1, join([number(1, FLOAT), block(2, dims)])))]);
}

/**
 * A model.
 * @param {Uint8Array[]} nodes
 * @param {{name: string, shape: number[], values: Float32Array}[]} initializers
 * @param {{name: string, shape: number[]}[]} inputs
 * @param {{name: string, shape: number[]}[]} outputs
 */
export function model(nodes, initializers, inputs, outputs) {
  const graph = join([
    ...nodes.map((bytes) => block(1, bytes)),
    text(2, 'bench'),
    ...initializers.map((tensor) => block(5, initializer(tensor))),
    ...inputs.map((value) => block(11, valueInfo(value))),
    ...outputs.map((value) => block(12, valueInfo(value))),
  ]);
  return join([number(1, 8), block(7, graph), block(8, number(2, 17))]);
}
