import type { Model } from "@/lib/api";

export const isEliza = (model: Model | null): boolean => model?.kind === "eliza";

/** The name of the model, as a person would use it. */
export function modelName(model: Model | null): string {
  if (isEliza(model)) return "ELIZA";
  return model?.name?.split("/").at(-1) ?? "Model";
}

/** Says what answers, so that nobody takes a program of rules for a language model. */
export function ModelNote({ model }: { model: Model | null }) {
  if (model === null) return <p className="model-note">&nbsp;</p>;
  if (isEliza(model)) {
    return (
      <p className="model-note">
        <strong>ELIZA answers here</strong>, a rule-based program of 1966. No language model is configured.
      </p>
    );
  }
  return (
    <p className="model-note">
      <strong>{model.name ?? "A language model"}</strong> answers here. It can make mistakes, so check what matters.
    </p>
  );
}
