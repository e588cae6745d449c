/* placeholder */ typedef int hone_nn_room;
