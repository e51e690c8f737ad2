"""How to get a program on a system, as the projects' own pages say it. Pure."""

from __future__ import annotations

from nixl_efa.doctor.facts import System

PLUGIN_GUIDE = (
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/"
    "session-manager-working-with-install-plugin.html"
)
_PLUGIN = "https://s3.amazonaws.com/session-manager-downloads/plugin/latest"
_PAGES = {
    "node": "https://nodejs.org/en/download",
    "terraform": "https://developer.hashicorp.com/terraform/install",
    "tofu": "https://opentofu.org/docs/intro/install",
    "aws": "https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
}
_BREW = {
    "node": "brew install node@22",
    "terraform": "brew install hashicorp/tap/terraform",
    "tofu": "brew install opentofu",
    "aws": "brew install awscli",
    "session-manager-plugin": "brew install --cask session-manager-plugin",
}


def how_to_get(program: str, system: System) -> str:
    """The command on macOS, and for AWS's plugin on Linux; else the page that has it. Distributions' own packages of
    Node.js and of the AWS CLI are often too old, and none has Terraform."""
    if system.family == "macos" and program in _BREW:
        return f"`{_BREW[program]}`"
    if program != "session-manager-plugin":
        return _PAGES.get(program, "")
    # Session Manager's user guide, install-plugin-debian-and-ubuntu and install-plugin-linux.
    if system.family == "debian":
        file = f"{_PLUGIN}/{'ubuntu_arm64' if system.arm else 'ubuntu_64bit'}/session-manager-plugin.deb"
        return f"`curl -O {file} && sudo dpkg -i session-manager-plugin.deb`"
    if system.family == "rpm":
        file = f"{_PLUGIN}/{'linux_arm64' if system.arm else 'linux_64bit'}/session-manager-plugin.rpm"
        return f"`sudo dnf install -y {file}`"
    return PLUGIN_GUIDE
