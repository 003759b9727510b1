// Writes FILE.br and FILE.gz beside every FILE given, unless they are there and newer.
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const { BROTLI_PARAM_LGWIN, BROTLI_PARAM_QUALITY, BROTLI_PARAM_SIZE_HINT } = constants;

function brotli(contents) {
  const params = {
    [BROTLI_PARAM_QUALITY]: 11,
    [BROTLI_PARAM_LGWIN]: 22,
    [BROTLI_PARAM_SIZE_HINT]: contents.length,
  };
  return brotliCompressSync(contents, { params });
}

const kinds = { br: brotli, gz: (contents) => gzipSync(contents, { level: 9 }) };

for (const file of process.argv.slice(2)) {
  for (const [extension, compress] of Object.entries(kinds)) {
    const sibling = `${file}.${extension}`;
    if (existsSync(sibling) && statSync(sibling).mtimeMs >= statSync(file).mtimeMs) continue;
    writeFileSync(`${sibling}.new`, compress(readFileSync(file)));
    renameSync(`${sibling}.new`, sibling);
  }
}
