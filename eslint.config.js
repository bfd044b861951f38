import { createTypeScriptImportResolver } from "eslint-import-resolver-typescript";
import importX from "eslint-plugin-import-x";
import tseslint from "typescript-eslint";

/** One arrow of DESIGN §1 that must not be drawn: code under `target` may not import from `from`. */
const forbid = (target, from, message) => ({ target, from, message });

/** Everything below a services folder but what it may build on. */
const onlyFrom = (target, allowed, message) => ({ target, from: "./services", except: allowed, message });

const arrows = [
  ...["./stacks", "./components", "./services", "./ops"].map((folder) =>
    forbid(folder, "./lab", "Nothing imports the lab: it is reached through configuration only."),
  ),
  ...["./stacks", "./components", "./services", "./ops", "./lab", "./test"].map((folder) =>
    forbid(folder, "./bench", "Nothing imports the benchmarks."),
  ),
  forbid("./components", ["./stacks", "./ops"], "Arrows: stacks -> components -> services/catalog."),
  onlyFrom("./components", ["./catalog.ts"], "Components know the services only by their catalog."),
  onlyFrom("./stacks", ["./catalog.ts"], "Stacks know the services only by their catalog."),
  forbid("./stacks", "./ops", "Arrows: ops -> stacks/config."),
  forbid(
    "./services",
    ["./stacks", "./components", "./ops"],
    "Services know nothing of how they are deployed.",
  ),
  onlyFrom("./services/core", ["./core"], "Core builds on no other service folder."),
  onlyFrom("./services/bus", ["./bus", "./core"], "The bus builds on core only."),
  onlyFrom(
    "./services/venues/alpaca",
    ["./venues/alpaca", "./bus", "./core"],
    "Venues never import each other.",
  ),
  onlyFrom(
    "./services/venues/near-intents",
    ["./venues/near-intents", "./bus", "./core"],
    "Venues never import each other.",
  ),
  onlyFrom("./services/strategies", ["./strategies", "./bus", "./core"], "Strategies are venue-neutral."),
  onlyFrom("./services/execution", ["./execution", "./bus", "./core"], "Execution is venue-neutral."),
  onlyFrom("./services/archive", ["./archive", "./bus", "./core"], "The archive builds on bus and core."),
  onlyFrom("./services/monitor", ["./monitor", "./bus", "./core"], "The monitor builds on bus and core."),
  {
    target: "./ops",
    from: "./components",
    except: [
      "./archive-mark.ts",
      "./capacity.ts",
      "./versions.ts",
      "./argocd-facts.ts",
      "./prometheus-facts.ts",
      "./stack-file.ts",
    ],
    message:
      "Arrows: ops -> stacks/config, services/archive, components/capacity, components/stack-file and plain facts.",
  },
];

export default tseslint.config(
  { ignores: ["node_modules/", ".lab/", "k8s/"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.recommendedTypeChecked],
    plugins: { "import-x": importX },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    settings: { "import-x/resolver-next": [createTypeScriptImportResolver()] },
    rules: {
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            {
              from: "package",
              package: "node:test",
              name: ["test", "describe", "it", "suite", "before", "after", "beforeEach", "afterEach"],
            },
          ],
        },
      ],
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/require-await": "off",
      "@typescript-eslint/consistent-type-imports": "error",
      "import-x/no-restricted-paths": ["error", { zones: arrows }],
      "import-x/no-cycle": "error",
      eqeqeq: ["error", "always", { null: "ignore" }],
    },
  },
  {
    files: ["services/**/*.ts", "ops/**/*.ts"],
    ignores: ["services/bus/**"],
    rules: {
      "no-restricted-imports": [
        "error",
        { paths: [{ name: "kafkajs", message: "The Kafka client sits behind services/bus." }] },
      ],
    },
  },
);
