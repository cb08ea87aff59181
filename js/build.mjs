// Bundles the two widgets' modules and styles into the Python package, where anywidget reads them as text.
import { build } from "esbuild";

const result = await build({
  entryPoints: { monitor: "src/index.ts", form: "src/form.ts" },
  outdir: "../fastreq_jupyter/notebook/static",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  // Names of ours that are used often and neither travel nor belong to the page.
  mangleProps:
    /^(finished|connection|element|domain|latencies|headHeight|rowHeight|setSelected|setOrder|descending|heardAt|alive|earlier|bins|hosts|rowAt|dragTo|atEnd|toEnd|toStart|nameOf|searched|silence|quantiles|series|dispose|scale|frame|lane|mode|follow|choose|zoom|hover|bare|tip|pan|label|word|span|cause|clock|query|moved|fit|search|points|retryWait|phase|offset)$/,
  define: {
    "Number.NaN": "NaN",
    "Number.isNaN": "isNaN",
    "Number.isFinite": "isFinite",
    "Number.POSITIVE_INFINITY": "Infinity",
  },
  metafile: true,
});
await build({
  entryPoints: { monitor: "src/panel.css", form: "src/form.css" },
  outdir: "../fastreq_jupyter/notebook/static",
  minify: true,
});
const LIMIT_BYTES = 40_000;
for (const [file, { bytes }] of Object.entries(result.metafile.outputs)) {
  console.log(`${file} ${bytes} bytes`);
  if (bytes > LIMIT_BYTES) throw new Error(`${file} is over ${LIMIT_BYTES} bytes`);
}
