// Reads panels with their queries' results from stdin, and writes what Grafana's own transformations make of them.
//
// In:  [{transformations: […], results: [{refId, name, series: [{metric: {label: text}, value: [seconds, text]}]}]}]
//      name: of a query whose results are no table, the label that names its series.
//      series: null is an answer without any, as the browser gets it: a frame without fields.
// Out: [[{name, type, values, min, max}]] or {error}, one a panel
"use strict";

require("react-use"); // looks for a document if there is a window, so it comes before the window
const kept = new Map();
globalThis.window = {
  addEventListener() {},
  location: { search: "" },
  localStorage: {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, value),
    removeItem: (key) => kept.delete(key),
  },
};
const { FieldType, getFieldDisplayName, standardTransformers, standardTransformersRegistry, toDataFrame, transformDataFrame } =
  require("@grafana/data");
const { firstValueFrom, map } = require("rxjs");

// Some are exported under an old name too.
const known = new Map(Object.values(standardTransformers).map((transformation) => [transformation.id, transformation]));
// "Config from query results" is in Grafana's own code only: each series of the query sets what it is named after.
const configFromData = {
  id: "configFromData",
  name: "Config from query results",
  operator: ({ configRefId }) => (source) =>
    source.pipe(
      map((frames) => {
        const config = Object.fromEntries(
          frames
            .filter(({ refId, fields }) => refId === configRefId && fields.length)
            .map((frame) => [getFieldDisplayName(frame.fields[1], frame), frame.fields[1].values.at(-1)]),
        );
        const set = (field) => (field.type === FieldType.number ? { ...field, config: { ...field.config, ...config } } : field);
        return frames
          .filter(({ refId }) => refId !== configRefId)
          .map((frame) => ({ ...frame, fields: frame.fields.map(set) }));
      }),
    ),
};
standardTransformersRegistry.setInit(() =>
  [...known.values(), configFromData].map((transformation) => ({
    id: transformation.id,
    aliasIds: transformation.aliasIds,
    name: transformation.name,
    transformation,
    editor: null,
  })),
);

// As the browser builds tables from instant queries: time, a column for each label, and the value.
function table({ refId, series }, queries) {
  if (series === null) return toDataFrame({ refId, fields: [] });
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))];
  return toDataFrame({
    refId,
    fields: [
      { name: "Time", type: FieldType.time, values: series.map(({ value }) => value[0] * 1000) },
      ...labels.map((name) => ({
        name,
        type: FieldType.string,
        config: { filterable: true },
        values: series.map(({ metric }) => metric[name] ?? ""),
      })),
      {
        name: queries > 1 ? `Value #${refId}` : "Value",
        type: FieldType.number,
        values: series.map(({ value }) => Number(value[1])),
      },
    ],
  });
}

// And of a query whose results are no table: a frame a series, or one without fields.
function lines({ refId, name, series }) {
  if (!series.length) return [toDataFrame({ refId, fields: [] })];
  return series.map(({ metric, value }) =>
    toDataFrame({
      refId,
      fields: [
        { name: "Time", type: FieldType.time, values: [value[0] * 1000] },
        { name: "Value", type: FieldType.number, config: { displayNameFromDS: metric[name] }, values: [Number(value[1])] },
      ],
    }),
  );
}

async function panel({ transformations, results }) {
  const tables = results.filter(({ name }) => !name);
  const others = results.filter(({ name }) => name);
  const frames = [...tables.map((result) => table(result, tables.length)), ...others.flatMap(lines)];
  try {
    const made = await firstValueFrom(transformDataFrame(transformations, frames, { interpolate: (text) => text }));
    return made.map((frame) =>
      frame.fields.map((field) => ({
        name: getFieldDisplayName(field, frame, made),
        type: field.type,
        values: [...field.values].map((value) => value ?? null),
        min: field.config.min ?? null,
        max: field.config.max ?? null,
      })),
    );
  } catch (error) {
    return { error: String(error) };
  }
}

let text = "";
process.stdin.on("data", (part) => (text += part));
process.stdin.on("end", async () => {
  const made = [];
  for (const each of JSON.parse(text)) made.push(await panel(each));
  process.stdout.write(JSON.stringify(made));
});
