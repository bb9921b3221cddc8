// Builds the script of the HTML report and the licences of what is inside it:
//
//     npm ci --ignore-scripts && node build.mjs [FOLDER]
//
// FOLDER is where report.js and THIRD_PARTY_LICENSES go, by default the package's. The same sources, lock file and
// esbuild give the same bytes.

import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? join(here, "..", "..", "pytest_precgate", "reports", "html", "data");

const built = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.mjs"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  charset: "ascii",
  legalComments: "none",
  metafile: true,
  write: false,
});
// A script element ends at the first "</script", wherever it stands.
const script = built.outputFiles[0].text.replaceAll("</script", "<\\/script");
writeFileSync(join(folder, "report.js"), script);

const inputs = Object.keys(built.metafile.inputs);
const names = new Set(inputs.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.slice(1) ?? []));
const licences = [...names].sort().map((name) => {
  const root = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return `${name} ${version} (${license})\n\n${readFileSync(join(root, "LICENSE"), "utf8").trim()}\n`;
});
writeFileSync(join(folder, "THIRD_PARTY_LICENSES"), licences.join(`\n${"-".repeat(80)}\n\n`));
console.log(`report.js: ${script.length} bytes; ${names.size} packages`);
