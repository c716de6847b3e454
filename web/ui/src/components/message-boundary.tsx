import { Component, type ReactNode } from "react";
import { Icon } from "./icon";

type Props = {
  /** What is shown instead when the formatted text cannot be. */
  text: string;
  children: ReactNode;
};

type State = { failed: boolean };

/**
 * Keeps a message whose rendering fails from taking the page with it: that one is shown as plain text. Give it a key
 * when it is to be tried again.
 */
export class MessageBoundary extends Component<Props, State> {
  override state: State = { failed: false };

  static getDerivedStateFromError(): State {
    return { failed: true };
  }

  override componentDidCatch(error: unknown): void {
    console.warn("A message could not be formatted.", error);
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <>
        <p className="plain">{this.props.text}</p>
        <p className="remark">
          <Icon name="info" /> This message could not be formatted, so it is shown as plain text.
        </p>
      </>
    );
  }
}
