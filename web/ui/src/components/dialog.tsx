import { useId, type ReactNode } from "react";
import { useModal } from "./use-modal";

type Props = {
  title: string;
  children: ReactNode;
  actions: ReactNode;
  onClose: () => void;
};

/** A question that has to be answered first. */
export function Dialog({ title, children, actions, onClose }: Props) {
  const modal = useModal(onClose);
  const id = useId();
  return (
    <dialog {...modal} className="dialog" aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {children}
      <div className="dialog-actions">{actions}</div>
    </dialog>
  );
}
