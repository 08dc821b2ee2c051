"""The process of one browser session, which the launcher starts; see ``session_process``."""

from CEKWorldLib.web.offscreen import draw_offscreen

if __name__ == "__main__":
    draw_offscreen()  # before anything imports VTK
    from CEKWorldLib.web.session_server import main

    main()
