/** The languages with highlighting, by the names that models use. */

const NAMES: Record<string, string> = {
  bash: "sh shell zsh console shellscript",
  c: "h",
  cpp: "c++ cc cxx hpp",
  csharp: "cs c#",
  css: "",
  dart: "",
  diff: "patch",
  dockerfile: "docker",
  elixir: "ex exs",
  go: "golang",
  graphql: "gql",
  haskell: "hs",
  http: "",
  ini: "toml conf",
  java: "",
  javascript: "js jsx mjs cjs node",
  json: "json5 jsonc jsonl",
  julia: "jl",
  kotlin: "kt kts",
  latex: "tex",
  lua: "",
  makefile: "make mk",
  markdown: "md",
  matlab: "octave",
  nginx: "nginxconf",
  perl: "pl",
  php: "",
  powershell: "ps1 pwsh",
  python: "py python3 gyp",
  r: "",
  ruby: "rb",
  rust: "rs",
  scala: "",
  scss: "",
  sql: "postgresql mysql sqlite",
  swift: "",
  typescript: "ts tsx mts cts",
  xml: "html xhtml svg vue rss",
  yaml: "yml",
};

const BY_NAME = new Map(
  Object.entries(NAMES).flatMap(([name, others]) => [name, ...others.split(" ")].map((other) => [other, name] as const)),
);
BY_NAME.delete("");

/** Return the canonical name of a language; null for one without highlighting. */
export const languageNamed = (name: string): string | null => BY_NAME.get(name.toLowerCase()) ?? null;
